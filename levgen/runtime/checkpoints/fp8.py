"""Matrices stored in 8 bits, with a scale for each block: as DeepSeek-V3 and transformers' `quant_method: fp8` do.

`x.weight` is a matrix of float8, and `x.weight_scale_inv` has the number that each block of it is multiplied by. Blocks
are `weight_block_size` large, those at the ends smaller; without a size the scales divide the matrix evenly, so that
one scale is that of the whole. Paper: DeepSeek-V3 Technical Report, section 3.3.2, https://arxiv.org/abs/2412.19437
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from levgen.runtime.checkpoints.folder import HfCheckpointError
from levgen.runtime.checkpoints.match import Readable
from levgen.runtime.checkpoints.packed import in_rows, refuse
from levgen.runtime.checkpoints.safetensors_io import Stored

_SCALES = ("_scale_inv", "_scale")  # what the name of a tensor ends with that has the scales of another
# The range of a layer's inputs, measured for computing in 8 bits: the weights don't depend on it.
_OF_INPUTS = re.compile(r"[._](activation|input)_scale$")
_FLOAT8 = {np.dtype(kind) for kind in (ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2)}


@dataclass(frozen=True)
class Fp8Matrix:
    """A matrix, or several of one size, in 8 bits: see `checkpoints.match.Readable`.

    values: {..., row, column}, float8. scales: {..., row of blocks, column of blocks}. block: rows and columns.
    dtype: what the matrix would be stored as without this.
    """

    values: Stored
    scales: Stored
    block: tuple[int, int]
    dtype: np.dtype[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values.shape

    def read_into(self, out: np.ndarray[Any, Any], first: int = 0) -> None:
        columns = self.shape[-1]
        for view, start in in_rows(out, first, columns):
            view[...] = self._rows(start // columns, view.size // columns).reshape(view.shape)

    def _rows(self, first: int, count: int) -> np.ndarray[Any, Any]:
        """Rows of the matrices one below the other: {row, column}, float32."""
        rows, columns = self.shape[-2:]
        blocks_down, blocks_across = self.scales.shape[-2:]
        number = np.arange(first, first + count)
        of_row = number // rows * blocks_down + number % rows // self.block[0]
        scales = np.empty((of_row[-1] - of_row[0] + 1, blocks_across), self.scales.dtype)
        self.scales.read_into(scales, int(of_row[0]) * blocks_across)
        if scales.dtype == np.uint8:
            scales = scales.view(ml_dtypes.float8_e8m0fnu)  # powers of two, as their exponents
        wide = np.repeat(scales.astype(np.float32), self.block[1], axis=1)[:, :columns]
        codes = np.empty((count, columns), self.values.dtype)
        self.values.read_into(codes, first * columns)
        result = _every(self.values.dtype)[codes.view(np.uint8)]
        result *= wide[of_row - of_row[0]]
        return result

    def equals(self, other: "Fp8Matrix") -> bool:
        return self.block == other.block and self.values.equals(other.values) and self.scales.equals(other.scales)


def fp8_tensors(stored: Mapping[str, Stored], how: Mapping[str, Any], dtype: np.dtype[Any]) -> dict[str, Readable]:
    """The tensors that `stored` stand for; those that are not in 8 bits stay as they are.

    how: `quantization_config`. Raises `HfCheckpointError` for matrices without scales, or with scales that don't fit.
    """
    if how.get("expert_dtype", "fp8") != "fp8":
        raise HfCheckpointError(
            f"the experts are stored as {how['expert_dtype']} in a checkpoint of fp8, which load_hf can't read.",
            "Take a checkpoint with all of its weights as fp8, or in 16 bits.",
        )
    size = how.get("weight_block_size")
    found: dict[str, Readable] = {name: tensor for name, tensor in stored.items() if not _OF_INPUTS.search(name)}
    problems = []
    for name, values in stored.items():
        if values.dtype not in _FLOAT8:
            continue
        scaled_by = next((name + end for end in _SCALES if name + end in stored), None)
        if scaled_by is None:
            problems.append(f"{name} is {values.dtype}, and there is no {name}{_SCALES[0]}")
            continue
        scales = _as_grid(stored[scaled_by], values.shape)
        block = _block(values.shape, scales.shape, size)
        if block is None:
            blocks = f", in blocks of {list(size)}" if size else ""
            problems.append(f"{scaled_by} {list(scales.shape)} doesn't fit {name} {list(values.shape)}{blocks}")
            continue
        found[name] = Fp8Matrix(values, scales, block, dtype)
        del found[scaled_by]
    refuse(problems)
    return found


def _as_grid(scales: Stored, shape: Sequence[int]) -> Stored:
    """A single scale as the grid of one block."""
    alone = len(scales.shape) < 2 and math.prod(scales.shape) == 1 and len(shape) == 2
    return Stored(scales.path, scales.dtype, (1, 1), scales.start) if alone else scales


def _block(shape: Sequence[int], grid: Sequence[int], size: Sequence[int] | None) -> tuple[int, int] | None:
    """Rows and columns of a block; None where a grid of scales doesn't lie on a matrix of that shape."""
    if len(shape) < 2 or tuple(grid[:-2]) != tuple(shape[:-2]) or len(grid) != len(shape):
        return None
    rows, columns = shape[-2:]
    down, across = grid[-2:]
    if size is not None and (down, across) == (-(-rows // size[0]), -(-columns // size[1])):
        return size[0], size[1]
    if (size is not None and (down, across) != (1, 1)) or 0 in grid or rows % down or columns % across:
        return None
    return rows // down, columns // across


def _every(dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """The value of each of the 256 codes, float32: looking one up is quicker than converting it."""
    return np.arange(256, dtype=np.uint8).view(dtype).astype(np.float32)
