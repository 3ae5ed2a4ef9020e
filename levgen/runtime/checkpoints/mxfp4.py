"""Experts stored in 4 bits: MXFP4, as gpt-oss ships and transformers calls `quant_method: mxfp4`.

`x_blocks` {expert, out, block, 16} has two numbers a byte, the first in the lower half, each float4_e2m1; `x_scales`
{expert, out, block} has a power of two for each block of 32, as float8_e8m0. They stand for `x` {expert, in, out}.
Format: OCP Microscaling Formats (MX) v1.0, https://www.opencompute.org/documents/ocp-microscaling-formats-mx-v1-0-spec-final-pdf
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from levgen.runtime.checkpoints.match import Readable
from levgen.runtime.checkpoints.packed import AT_ONCE, in_rows, refuse
from levgen.runtime.checkpoints.safetensors_io import Stored

_BLOCKS, _SCALES = "_blocks", "_scales"
_BYTES = 16  # of a block


@dataclass(frozen=True)
class Mxfp4Experts:
    """A matrix for each expert, in 4 bits: see `checkpoints.match.Readable`.

    dtype: what the matrices would be stored as without this.
    """

    blocks: Stored  # {expert, out, block, 16}
    scales: Stored  # {expert, out, block}
    dtype: np.dtype[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        """{expert, in, out}"""
        experts, out, blocks, size = self.blocks.shape
        return experts, blocks * 2 * size, out

    def read_into(self, out: np.ndarray[Any, Any], first: int = 0) -> None:
        each = math.prod(self.shape[1:])
        for view, start in in_rows(out, first, each, each):
            experts = range(start // each, (start + view.size) // each)
            matrices = [self._expert(number, out.dtype) for number in experts]
            view[...] = (matrices[0] if len(matrices) == 1 else np.stack(matrices)).reshape(view.shape)

    def _expert(self, number: int, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
        """{in, out}, which lies in memory as it is stored: out first."""
        _, out, per_row, size = self.blocks.shape
        pairs = _pairs()
        matrix = np.empty((out, per_row * 2 * size), dtype)
        step = max(1, AT_ONCE // matrix.shape[1])
        for row in range(0, out, step):
            rows = matrix[row : row + step]
            codes = np.empty((len(rows), per_row, size), np.uint8)
            self.blocks.read_into(codes, (number * out + row) * per_row * size)
            scales = np.empty((len(rows), per_row), np.uint8)
            self.scales.read_into(scales, (number * out + row) * per_row)
            values = pairs[codes].reshape(*scales.shape, 2 * size)
            values *= scales.view(ml_dtypes.float8_e8m0fnu).astype(np.float32)[..., None]
            rows[...] = values.reshape(rows.shape)
        return matrix.T

    def equals(self, other: "Mxfp4Experts") -> bool:
        return self.blocks.equals(other.blocks) and self.scales.equals(other.scales)


def mxfp4_tensors(stored: Mapping[str, Stored], how: Mapping[str, Any], dtype: np.dtype[Any]) -> dict[str, Readable]:
    """The tensors that `stored` stand for; those that are not in 4 bits stay as they are.

    how: `quantization_config`. Raises `HfCheckpointError` for blocks whose scales are missing or don't fit.
    """
    found: dict[str, Readable] = dict(stored)
    problems = []
    for name, blocks in stored.items():
        if not name.endswith(_BLOCKS):
            continue
        base = name.removesuffix(_BLOCKS)
        scales = stored.get(base + _SCALES)
        if scales is None:
            problems.append(f"{name} has no {base}{_SCALES}")
            continue
        fits = len(blocks.shape) == 4 and blocks.shape[3] == _BYTES and scales.shape == blocks.shape[:3]
        if not fits or {blocks.dtype, scales.dtype} != {np.dtype(np.uint8)}:
            problems.append(
                f"expected bytes {{expert, out, block, {_BYTES}}} and {{expert, out, block}}, got {name} "
                f"{blocks.dtype} {list(blocks.shape)} and {base}{_SCALES} {scales.dtype} {list(scales.shape)}"
            )
            continue
        found[base] = Mxfp4Experts(blocks, scales, dtype)
        del found[name], found[base + _SCALES]
    refuse(problems)
    return found


def _pairs() -> np.ndarray[Any, Any]:
    """The two values of each byte, {256, 2} float32."""
    values = np.arange(16, dtype=np.uint8).view(ml_dtypes.float4_e2m1fn).astype(np.float32)
    codes = np.arange(256)
    return np.stack([values[codes & 15], values[codes >> 4]], axis=-1)
