"""The safetensors format: https://huggingface.co/docs/safetensors/index#format.

A file is the header's length (8 bytes, little-endian), the header (JSON) and the bytes of the tensors.
"""

import io
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from levgen.errors import LevgenError, did_you_mean

DTYPES: dict[str, np.dtype[Any]] = {
    "F64": np.dtype(np.float64),
    "F32": np.dtype(np.float32),
    "F16": np.dtype(np.float16),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "F8_E4M3": np.dtype(ml_dtypes.float8_e4m3fn),
    "F8_E5M2": np.dtype(ml_dtypes.float8_e5m2),
    "I64": np.dtype(np.int64),
    "I32": np.dtype(np.int32),
    "I16": np.dtype(np.int16),
    "I8": np.dtype(np.int8),
    "U64": np.dtype(np.uint64),
    "U32": np.dtype(np.uint32),
    "U16": np.dtype(np.uint16),
    "U8": np.dtype(np.uint8),
    "BOOL": np.dtype(np.bool_),
}
_NAMES = {dtype: name for name, dtype in DTYPES.items()}
_CHUNK = 16 * 2**20  # bytes read at once where values are converted on the way


class SafetensorsError(LevgenError):
    """A file that is not safetensors, is cut short, or holds a dtype that numpy has not."""


def dtype_of(dtype: Any) -> np.dtype[Any]:
    """The numpy dtype that a user names (`"bfloat16"`, `jnp.bfloat16`, ...).

    Raises `LevgenError` for one that numpy has not, or the format can't hold.
    """
    known = [str(known) for known in DTYPES.values()]
    try:
        found: np.dtype[Any] = np.dtype(dtype)
    except TypeError:
        raise LevgenError(f"unknown dtype {dtype!r}.", did_you_mean(str(dtype), known)) from None
    if found not in _NAMES:
        raise LevgenError(f"safetensors can't hold the dtype {found}; known: {', '.join(known)}.")
    return found


@dataclass(frozen=True)
class Stored:
    """Where a tensor lies: `start` counts bytes from the beginning of the file."""

    path: Path
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    start: int

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

    def read_into(self, out: np.ndarray[Any, Any]) -> None:
        """Read the tensor into `out`, of as many elements in the same order, converting to its dtype.

        Bytes go straight from the file into `out` where they can; else through a buffer of some megabytes.
        """
        with self.path.open("rb", buffering=0) as file:
            if not out.flags.c_contiguous:
                whole = np.empty(self.shape, self.dtype)
                _fill(file, whole, self.start, self.path)
                out[...] = whole.reshape(out.shape)
            elif out.dtype == self.dtype:
                _fill(file, out, self.start, self.path)
            else:
                flat = out.reshape(-1)
                step = _CHUNK // self.dtype.itemsize
                buffer = np.empty(min(step, flat.size), self.dtype)
                for first in range(0, flat.size, step):
                    part = buffer[: min(step, flat.size - first)]
                    _fill(file, part, self.start + first * self.dtype.itemsize, self.path)
                    flat[first : first + part.size] = part

    def equals(self, other: "Stored") -> bool:
        """Whether both hold the same bytes, read piece by piece."""
        if self.dtype != other.dtype or self.shape != other.shape:
            return False
        for first in range(0, self.nbytes, _CHUNK):
            pieces = []
            for tensor in (self, other):
                pieces.append(np.empty(min(_CHUNK, self.nbytes - first), np.uint8))
                Stored(tensor.path, pieces[-1].dtype, pieces[-1].shape, tensor.start + first).read_into(pieces[-1])
            if not np.array_equal(pieces[0], pieces[1]):
                return False
        return True


def read_header(path: Path) -> dict[str, Stored]:
    """The tensors of a file, without reading them."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > size - 8:
            raise SafetensorsError(f"{path} is no safetensors file, or is cut short at {size} bytes.", _AGAIN)
        try:
            header = json.loads(file.read(length))
            header.pop("__metadata__", None)
            entries = {name: (e["dtype"], tuple(e["shape"]), *e["data_offsets"]) for name, e in header.items()}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise SafetensorsError(f"{path} has no safetensors header: {error}", _AGAIN) from error
    stored = {}
    for name, (dtype, shape, start, end) in entries.items():
        if dtype not in DTYPES:
            raise SafetensorsError(f"{name} in {path} has dtype {dtype!r}; known: {', '.join(DTYPES)}.")
        tensor = Stored(path, DTYPES[dtype], shape, 8 + length + start)
        if end - start != tensor.nbytes:
            raise SafetensorsError(
                f"{name} in {path} has {end - start} bytes, and {dtype} {shape} needs {tensor.nbytes}."
            )
        if tensor.start + tensor.nbytes > size:
            raise SafetensorsError(
                f"{path} is cut short: {name} ends at {8 + length + end}, the file at {size}.", _AGAIN
            )
        stored[name] = tensor
    return stored


_AGAIN = "Copy or download it again."


def _fill(file: io.FileIO, out: np.ndarray[Any, Any], start: int, path: Path) -> None:
    file.seek(start)
    rest = out.reshape(-1).view(np.uint8).data
    while rest:
        count = file.readinto(rest)
        if not count:
            raise SafetensorsError(f"{path} was cut short while it was read.", _AGAIN)
        rest = rest[count:]


class Writer:
    """Writes one file, its tensors in any order, each once."""

    def __init__(self, path: Path, tensors: Mapping[str, tuple[np.dtype[Any], tuple[int, ...]]]) -> None:
        """`tensors`: name -> dtype and shape. Raises `SafetensorsError` for a dtype that the format has not."""
        header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
        starts, end = {}, 0
        for name, (dtype, shape) in sorted(tensors.items(), key=lambda item: (-item[1][0].itemsize, item[0])):
            if dtype not in _NAMES:
                raise SafetensorsError(f"{name} has dtype {dtype}, which safetensors can't hold.")
            starts[name] = end
            end += math.prod(shape) * dtype.itemsize
            header[name] = {"dtype": _NAMES[dtype], "shape": list(shape), "data_offsets": [starts[name], end]}
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 8)
        self._path = path
        self._starts = {name: 8 + len(text) + start for name, start in starts.items()}
        with path.open("wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            file.truncate(8 + len(text) + end)

    def write(self, name: str, values: np.ndarray[Any, Any]) -> None:
        """Write the values of one tensor, of the dtype and shape declared for it."""
        with self._path.open("r+b") as file:
            file.seek(self._starts[name])
            file.write(np.ascontiguousarray(values).reshape(-1).view(np.uint8).data)

    def sync(self) -> None:
        """Wait until all is on the disk."""
        with self._path.open("r+b") as file:
            os.fsync(file.fileno())
