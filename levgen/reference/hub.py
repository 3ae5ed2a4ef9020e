"""From a hub id to a folder: the config of a model on the Hugging Face hub, and the code that it may bring along."""

import re
from pathlib import Path

from levgen.errors import LevgenError

_ID = re.compile(r"(?P<id>[A-Za-z0-9][\w.\-]*/[\w.\-]+?)(?:@(?P<revision>[\w.\-/]+))?")
# What says what a model is. Weights say nothing of that, and are large. Code is fetched and not run.
_PATTERNS = ["config.json", "*.py"]


def local_folder(source: str) -> Path:
    """The folder `source`; for a hub id `owner/name` or `owner/name@revision` that of its config, fetched or cached.

    Raises LevgenError where it is neither a folder nor to be had from the hub.
    """
    folder = Path(source)
    named = _ID.fullmatch(source)
    if folder.exists() or named is None:
        return folder
    # Imported here: it takes longer to import than reading a folder.
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        found = Path(snapshot_download(named["id"], revision=named["revision"], allow_patterns=_PATTERNS))
    except (HfHubHTTPError, HFValidationError, OSError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise LevgenError(
            f"there is no folder {source}, and no model of that id can be had from the hub: {reason}",
            "expected a folder with a config.json, or an id such as owner/name or owner/name@revision",
        ) from error
    if not (found / "config.json").is_file():
        raise LevgenError(f"{source} on the hub has no config.json", "expected a model of transformers")
    return found
