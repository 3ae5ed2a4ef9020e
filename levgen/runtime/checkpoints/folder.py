"""A transformers checkpoint on disk: its config.json and the tensors of its safetensors files."""

import json
from pathlib import Path
from typing import Any

from levgen.errors import LevgenError, did_you_mean
from levgen.runtime.checkpoints.safetensors_io import Stored, read_header

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"


class HfCheckpointError(LevgenError):
    """A folder that is no checkpoint of the model."""


def read_config(folder: Path) -> dict[str, Any]:
    """The dict of the folder's config.json."""
    if not folder.is_dir():
        near = did_you_mean(folder.name, (p.name for p in folder.parent.iterdir())) if folder.parent.is_dir() else None
        raise HfCheckpointError(f"no folder {folder}.", near or "Give a local folder with config.json and safetensors.")
    return _read_json(folder / CONFIG)


def causal_lm_name(model_type: str) -> str | None:
    """transformers' causal language model of a model type, or None where it has none."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    name = MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.get(model_type)
    return None if name is None else str(name)


def check_architecture(model: str, model_type: str, config: dict[str, Any]) -> None:
    """Raises `HfCheckpointError` where config.json names architectures, and neither the causal model nor its base.

    A model type that transformers doesn't know is not checked.
    """
    from transformers.models.auto.modeling_auto import MODEL_MAPPING_NAMES

    base = MODEL_MAPPING_NAMES.get(model_type, ())
    causal = causal_lm_name(model_type)
    expected = set() if causal is None else {causal, *([base] if isinstance(base, str) else base)}
    found = config.get("architectures") or []
    if expected and found and not expected.intersection(found):
        raise HfCheckpointError(
            f"{model} loads checkpoints of {' or '.join(sorted(expected))}; config.json says {' or '.join(found)}.",
            "Load it in transformers as a causal language model and save_pretrained it, or take another checkpoint.",
        )


def read_headers(folder: Path) -> dict[str, Stored]:
    """Every tensor of the folder: of model.safetensors, of the files of its index, or of its only *.safetensors."""
    if (folder / INDEX).is_file():
        names = sorted(set(_read_json(folder / INDEX).get("weight_map", {}).values()))
        absent = [name for name in names if not (folder / name).is_file()]
        if absent or not names:
            raise HfCheckpointError(
                f"{folder / INDEX} names {len(names)} files, of which {len(absent)} are missing: {', '.join(absent)}.",
                "Download the checkpoint again.",
            )
        files = [folder / name for name in names]
    elif (folder / WEIGHTS).is_file():
        files = [folder / WEIGHTS]
    else:
        files = sorted(folder.glob("*.safetensors"))
        if len(files) != 1:
            raise HfCheckpointError(*_no_weights(folder, files))
    tensors: dict[str, Stored] = {}
    for file in files:
        for name, stored in read_header(file).items():
            if name in tensors:
                raise HfCheckpointError(f"{name} is in both {tensors[name].path} and {file}.")
            tensors[name] = stored
    return tensors


def _no_weights(folder: Path, files: list[Path]) -> tuple[str, str]:
    if files:
        return (
            f"{folder} has neither {WEIGHTS} nor {INDEX}, and {len(files)} other safetensors files.",
            f"Rename the one with the weights to {WEIGHTS}.",
        )
    pickles = sorted(path.name for pattern in ("*.bin", "*.pt", "*.pth") for path in folder.glob(pattern))
    if pickles:
        convert = f"AutoModelForCausalLM.from_pretrained({str(folder)!r}).save_pretrained(NEW_FOLDER)"
        return (
            f"{folder} has its weights as pickles only ({', '.join(pickles)}), which can run code when they are read.",
            f"If you trust them, convert them with transformers: {convert}",
        )
    return f"{folder} has no weights: no {WEIGHTS} and no {INDEX}.", "Download the *.safetensors files too."


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise HfCheckpointError(f"no file {path}.", "A transformers checkpoint has one.")
    try:
        content = json.loads(path.read_text())
    except ValueError as error:
        raise HfCheckpointError(f"{path} is not JSON: {error}", "Download it again.") from error
    if not isinstance(content, dict):
        raise HfCheckpointError(f"{path} must hold a JSON object, found {type(content).__name__}.")
    return content
