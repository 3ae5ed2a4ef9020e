"""parameters: every tensor of the reference has its place in ours, and ours has none that the reference lacks."""

from typing import Any

from levgen.errors import LevgenError
from levgen.prove.bench import LENGTH, Bench, abstract
from levgen.prove.outcome import Case, Outcome, failed, passed
from levgen.prove.rungs.traces import FULL_VOCAB
from levgen.runtime.checkpoints.names import hf_tensors
from levgen.runtime.testing import unlike_shapes


def parameters(bench: Bench) -> Outcome:
    """Loads the reference's weights at TINY and at every config of the tests; compares shapes at full size."""
    subject = bench.subject
    if bench.missing:
        return failed(bench.missing)
    configs = {"TINY": subject.config, **subject.variations}
    for name, config in configs.items():
        try:
            strange = bench.ported(config).unlike_parameters()
        except LevgenError as error:
            lines = str(error).splitlines()
            return failed(f"{name}: {lines[0]}", details=tuple(lines[1:]), case=Case(config, LENGTH))
        if strange:
            return failed(f"{name}: only one side has {strange[0]}", details=tuple(strange), case=Case(config, LENGTH))
    count = len(hf_tensors(bench.ported().model))
    full, problems = _at_full_size(subject.model_class, subject.config_class())
    if problems:
        return failed(f"at full size: {problems[0]}", details=tuple(problems[1:]))
    return passed(f"{count} tensors at {len(configs)} configs; {full} at full size")


def _at_full_size(model_class: Any, config: Any) -> tuple[int, list[str]]:
    """How many tensors the config's defaults have, and those whose shape differs; no memory is taken."""
    import torch
    from transformers import AutoModelForCausalLM

    from levgen.runtime.reference import reference_config

    model = abstract(model_class, config, FULL_VOCAB)
    with torch.device("meta"):
        reference = AutoModelForCausalLM.from_config(
            reference_config(config, FULL_VOCAB.size), attn_implementation="eager"
        )
    return len(hf_tensors(model)), unlike_shapes(model, reference)
