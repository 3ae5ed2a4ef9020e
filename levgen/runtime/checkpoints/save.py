"""Saving a model as a checkpoint that transformers' `from_pretrained` reads."""

import contextlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from levgen.errors import LevgenError
from levgen.runtime.checkpoints.folder import CONFIG, INDEX, WEIGHTS, causal_lm_name
from levgen.runtime.checkpoints.names import HfTensor, hf_tensors, model_arrays
from levgen.runtime.checkpoints.safetensors_io import Writer, dtype_of
from levgen.runtime.checkpoints.shards import host_parts, write_tensor
from levgen.runtime.model import LmHeadModel

_UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}
_OF_CHECKPOINT = re.compile(r"config\.json|model(-\d+-of-\d+)?\.safetensors|model\.safetensors\.index\.json")


def save_hf(
    model: LmHeadModel,
    folder: str | Path,
    *,
    dtype: Any = None,
    max_shard_size: int | str = "5GB",
    config_overrides: dict[str, Any] | None = None,
    save_original_format: bool = True,
) -> None:
    """Write `model` to a folder: config.json and safetensors, in shards with an index where one file is too small.

    The folder is complete or as it was before: all is written beside it and renamed into place. A checkpoint in it is
    replaced; its other files (a tokenizer) are kept. Arrays, sharded or not, come to the host one at a time.

    Args:
        model: with arrays for all its parameters.
        folder: made if need be.
        dtype: of the floating-point parameters in the file; by default as they are.
        max_shard_size: of one file, in bytes or as "5GB" (10^9) or "5GiB" (2^30).
        config_overrides: attributes set last in config.json, such as `{"eos_token_id": 2}`.
        save_original_format: name tensors as the model's first checkpoints do, and `save_pretrained` by default, which
            for most models with experts is one tensor an expert; False: as transformers' modules in memory.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise LevgenError(f"{folder} is a file; save_hf writes a folder.")
    limit = _bytes(max_shard_size)
    arrays = model_arrays(model)
    asked = None if dtype is None else dtype_of(dtype)
    dtypes = [_stored_dtype(array, asked) for array in arrays]
    tensors = hf_tensors(model, in_files=save_original_format)
    if jax.process_index() != 0:
        for array in arrays:  # takes part in the gathers of the process that writes
            host_parts(array)
        return
    hf_config = model.config.to_hf_config(model.vocab_size, config_overrides)
    hf_config.architectures = [causal_lm_name(hf_config.model_type) or type(model).__name__]
    floats = [kind for kind in dtypes if jnp.issubdtype(kind, jnp.floating)]
    hf_config.dtype = str(max(set(floats), key=floats.count)) if floats else None

    with _replacing(folder) as new:
        (new / CONFIG).write_text(hf_config.to_json_string(use_diff=False))
        _write_tensors(new, tensors, arrays, dtypes, limit)


def _write_tensors(
    folder: Path, tensors: Sequence[HfTensor], arrays: Sequence[Any], dtypes: Sequence[np.dtype[Any]], limit: int
) -> None:
    shards: list[list[HfTensor]] = [[]]
    size = total = 0
    for tensor in tensors:
        nbytes = int(np.prod(tensor.shape, dtype=np.int64)) * dtypes[tensor.leaf].itemsize
        if shards[-1] and size + nbytes > limit:
            shards.append([])
            size = 0
        shards[-1].append(tensor)
        size += nbytes
        total += nbytes
    names = [WEIGHTS]
    if len(shards) > 1:
        names = [f"model-{number + 1:05d}-of-{len(shards):05d}.safetensors" for number in range(len(shards))]
    writers = {}
    parts: dict[int, list[tuple[HfTensor, Writer]]] = {}
    for name, shard in zip(names, shards, strict=True):
        writers[name] = Writer(folder / name, {t.name: (dtypes[t.leaf], t.shape) for t in shard})
        for tensor in shard:
            parts.setdefault(tensor.leaf, []).append((tensor, writers[name]))
    for number, array in enumerate(arrays):
        held = host_parts(array)
        for tensor, writer in parts[number]:
            write_tensor(tensor, held, array.shape, partial(writer.write, tensor.name))
    for writer in writers.values():
        writer.sync()
    if len(shards) > 1:
        weight_map = {tensor.name: name for name, shard in zip(names, shards, strict=True) for tensor in shard}
        metadata = {"total_parameters": sum(int(array.size) for array in arrays), "total_size": total}
        index = {"metadata": metadata, "weight_map": dict(sorted(weight_map.items()))}
        (folder / INDEX).write_text(json.dumps(index, indent=2) + "\n")


def _stored_dtype(array: Any, asked: np.dtype[Any] | None) -> np.dtype[Any]:
    if not hasattr(array, "__array__"):
        raise LevgenError("save_hf needs a model with arrays, got shapes only.")
    return asked if asked is not None and jnp.issubdtype(array.dtype, jnp.floating) else dtype_of(array.dtype)


def _bytes(size: int | str) -> int:
    if isinstance(size, int):
        found = size
    else:
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]+)\s*", size)
        if match is None or match[2].upper() not in _UNITS:
            raise LevgenError(
                f"max_shard_size must be bytes or such as '5GB', got {size!r}; units: {', '.join(_UNITS)}."
            )
        found = int(float(match[1]) * _UNITS[match[2].upper()])
    if found < 1:
        raise LevgenError(f"max_shard_size must be at least one byte, got {size!r}.")
    return found


@contextlib.contextmanager
def _replacing(folder: Path) -> Iterator[Path]:
    """A new folder beside `folder`, which takes its place, and its other files, unless an error is raised."""
    folder = folder.resolve()
    unique = uuid.uuid4().hex
    new, old = (folder.with_name(f".{folder.name}-{unique}-{state}") for state in ("new", "old"))
    new.mkdir(parents=True)
    try:
        yield new
        if folder.is_dir():
            for path in folder.iterdir():
                if not _OF_CHECKPOINT.fullmatch(path.name):
                    _keep(path, new / path.name)
            shutil.copymode(folder, new)
            folder.rename(old)
        try:
            new.rename(folder)
        except OSError:
            if old.is_dir():
                old.rename(folder)
            raise
    finally:
        shutil.rmtree(new, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _keep(path: Path, to: Path) -> None:
    """The same file or folder at `to`: linked where the file system can, else copied."""
    if path.is_dir():
        shutil.copytree(path, to, symlinks=True, copy_function=_link)
    else:
        _link(path, to)


def _link(path: str | Path, to: str | Path) -> None:
    try:
        os.link(path, to, follow_symlinks=False)
    except OSError:
        shutil.copy2(path, to, follow_symlinks=False)
