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
    "F8_E8M0": np.dtype(ml_dtypes.float8_e8m0fnu),
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
_CHUNK = 4 * 2**20  # bytes read or written at once where values are converted on the way: they stay in the caches


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

    def read_into(self, out: np.ndarray[Any, Any], first: int = 0) -> None:
        """Read as many elements as `out` has into it, in its order, from the element `first` on, as its dtype.

        Bytes go straight from the file into `out` where they can; else through a buffer of some megabytes.
        """
        with self.path.open("rb", buffering=0) as file:
            self._read(file, out, self.start + first * self.dtype.itemsize)

    def _read(self, file: io.FileIO, out: np.ndarray[Any, Any], start: int) -> None:
        """`start`: the byte of the file that the first element begins at."""
        if out.dtype == self.dtype and out.flags.c_contiguous:
            _fill(file, out, start, self.path)
        elif out.size * self.dtype.itemsize <= _CHUNK:
            buffer = np.empty(out.shape, self.dtype)
            _fill(file, buffer, start, self.path)
            out[...] = buffer
        else:
            row = out[0].size * self.dtype.itemsize
            step = max(1, _CHUNK // row)
            for index in range(0, out.shape[0], step):
                # A single row may itself be more than is read at once.
                part = out[index] if step == 1 else out[index : index + step]
                self._read(file, part, start + index * row)

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
        self._dtypes = {name: dtype for name, (dtype, _) in tensors.items()}
        self._starts = {name: 8 + len(text) + start for name, start in starts.items()}
        with path.open("wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            file.truncate(8 + len(text) + end)

    def write(self, name: str, values: np.ndarray[Any, Any], first: int = 0) -> None:
        """Write values of one tensor, from its element `first` on, in their order and as its dtype."""
        with self._path.open("r+b") as file:
            dtype = self._dtypes[name]
            file.seek(self._starts[name] + first * dtype.itemsize)
            self._write(file, values, dtype)

    def _write(self, file: io.BufferedRandom, values: np.ndarray[Any, Any], dtype: np.dtype[Any]) -> None:
        ready = values.dtype == dtype and values.flags.c_contiguous
        if ready or values.size * dtype.itemsize <= _CHUNK:
            file.write(np.ascontiguousarray(values, dtype).reshape(-1).view(np.uint8).data)
        else:
            step = max(1, _CHUNK // (values[0].size * dtype.itemsize))
            for index in range(0, values.shape[0], step):
                self._write(file, values[index] if step == 1 else values[index : index + step], dtype)

    def sync(self) -> None:
        """Wait until all is on the disk."""
        with self._path.open("r+b") as file:
            os.fsync(file.fileno())
