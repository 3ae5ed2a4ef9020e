"""The tensors of a checkpoint's files, where some are stored in 8 or 4 bits: each as the tensor that it stands for."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from levgen.errors import did_you_mean
from levgen.runtime.checkpoints.folder import HfCheckpointError, read_config, read_headers
from levgen.runtime.checkpoints.fp8 import fp8_tensors
from levgen.runtime.checkpoints.match import Readable
from levgen.runtime.checkpoints.mxfp4 import mxfp4_tensors
from levgen.runtime.checkpoints.safetensors_io import Stored, dtype_of

Unpack = Callable[[Mapping[str, Stored], Mapping[str, Any], np.dtype[Any]], dict[str, Readable]]
# transformers' `quant_method` -> the tensors that stored ones stand for, whose own dtype is the one given.
_FORMATS: dict[str, Unpack] = {"fp8": fp8_tensors, "mxfp4": mxfp4_tensors}
_OF_LAYER = re.compile(r"(?:[a-z_]+\.)?layers\.(\d+)\.")


def read_tensors(folder: Path) -> dict[str, Readable]:
    """Every tensor of the folder's files, without reading them.

    A tensor stored in 8 or 4 bits has its values once it is read: nothing else is kept of it. Its dtype is the one
    that config.json states for the model, or else bfloat16; read into an array of another dtype, its values come
    straight from float32. Layers that predict tokens beyond the next, which the causal model hasn't got, are left out.

    Raises:
        HfCheckpointError: no checkpoint, a format that can't be read, or scales that don't fit their tensors.
        SafetensorsError: a file that is cut short or no safetensors file.
    """
    config = read_config(folder)
    stored = _without_predictors(read_headers(folder), config)
    how = config.get("quantization_config") or config.get("compression_config")
    if not how:
        return dict(stored)
    if not isinstance(how, Mapping):
        raise HfCheckpointError(f"quantization_config in {folder} must be a JSON object, found {how!r}.")
    unpack = _FORMATS.get(str(how.get("quant_method")))
    if unpack is None:
        raise _unknown(folder, how)
    return unpack(stored, how, dtype_of(config.get("dtype") or config.get("torch_dtype") or "bfloat16"))


def _unknown(folder: Path, how: Mapping[str, Any]) -> HfCheckpointError:
    name = how.get("quant_method")
    named = f"as {name}" if name else f"in a format without a name ({', '.join(how)})"
    reads = " and ".join(_FORMATS)
    near = did_you_mean(str(name), _FORMATS)
    convert = f"AutoModelForCausalLM.from_pretrained({str(folder)!r}).dequantize().save_pretrained(NEW_FOLDER)"
    return HfCheckpointError(
        f"the weights in {folder} are stored {named}; of formats with few bits load_hf reads {reads}.",
        (f"{near} " if near else "")
        + f"Take the checkpoint that it was made from, or undo it in transformers where that can: {convert}",
    )


def _without_predictors(tensors: Mapping[str, Stored], config: Mapping[str, Any]) -> dict[str, Stored]:
    """`tensors` but those of layers after the last that predict further tokens, of which config.json says how many."""
    layers = config.get("num_hidden_layers")
    further = config.get("num_nextn_predict_layers") or config.get("num_mtp_layers")
    if not isinstance(layers, int) or not isinstance(further, int):
        return dict(tensors)
    return {
        name: tensor
        for name, tensor in tensors.items()
        if not (match := _OF_LAYER.match(name)) or not layers <= int(match[1]) < layers + further
    }
