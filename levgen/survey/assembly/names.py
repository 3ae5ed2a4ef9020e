"""What a field is called with us, and whether the reference is transformers' own."""

import re

from levgen.survey.config.trials import Trials


def of_transformers(trials: Trials) -> bool:
    """Whether the reference is one of transformers' own."""
    return trials.tiny.found.module.startswith("transformers.")


def own_name(hf: str) -> str:
    """What we call what a field of the reference holds, or a power of it: without the config in the config."""
    return re.sub(r"\b[a-z_]\w*\.", "", hf)
