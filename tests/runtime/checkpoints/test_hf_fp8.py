"""Matrices in 8 bits are read as their definition says, and as transformers unpacks them, bit for bit."""

from pathlib import Path

import numpy as np
import pytest

from levgen.runtime.testing import skip_without_torch

skip_without_torch()

import torch
from safetensors.torch import save_file
from transformers.integrations.finegrained_fp8 import Fp8Dequantize

from levgen.errors import LevgenError
from levgen.runtime.checkpoints.fp8 import Fp8Matrix, fp8_tensors
from levgen.runtime.checkpoints.safetensors_io import read_header

F32, BF16 = np.dtype(np.float32), np.dtype("bfloat16")
EVERY_CODE = torch.arange(256, dtype=torch.uint8).view(torch.float8_e4m3fn)
FINITE = EVERY_CODE[EVERY_CODE.float().isfinite()]


def matrix(*shape: int) -> torch.Tensor:
    """Every number that float8_e4m3 has, in a random order."""
    return FINITE[torch.randint(len(FINITE), shape, generator=torch.Generator().manual_seed(3))]


def scales(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(4)) + 0.01


def unpacked(folder: Path, tensors: dict[str, torch.Tensor], **how: object) -> Fp8Matrix:
    save_file(tensors, folder / "x.safetensors")
    found = fp8_tensors(read_header(folder / "x.safetensors"), how, BF16)
    assert list(found) == [next(iter(tensors))]
    (only,) = found.values()
    assert isinstance(only, Fp8Matrix)
    return only


def read(source: Fp8Matrix, dtype: np.dtype = F32) -> np.ndarray:
    out = np.full(source.shape, np.nan, dtype)
    source.read_into(out)
    return out


def by_definition(values: torch.Tensor, grid: torch.Tensor, block: tuple[int, int]) -> np.ndarray:
    """values[..., i, j] * grid[..., i // rows of a block, j // columns of a block], in float32."""
    rows, columns = (torch.arange(size) // each for size, each in zip(values.shape[-2:], block, strict=True))
    return (values.float() * grid.float()[..., rows[:, None], columns]).numpy()


@pytest.mark.parametrize(
    ("shape", "grid", "block"),
    [((256, 384), (2, 3), (128, 128)), ((576, 300), (5, 3), (128, 128)), ((40, 30), (3, 8), (16, 4))],
    ids=["whole blocks", "the last are smaller", "blocks that are no squares"],
)
def test_a_scale_for_each_block(shape: tuple[int, int], grid: tuple[int, int], block: tuple[int, int], tmp_path):
    values, by = matrix(*shape), scales(*grid)
    source = unpacked(tmp_path, {"x.weight": values, "x.weight_scale_inv": by}, weight_block_size=list(block))
    expected = by_definition(values, by, block)
    assert (source.shape, source.dtype) == (shape, BF16)
    np.testing.assert_array_equal(read(source), expected)
    np.testing.assert_array_equal(read(source, BF16), expected.astype(BF16))
    if not shape[0] % block[0] and not shape[1] % block[1]:  # transformers refuses the others
        theirs = Fp8Dequantize(None)._dequantize_one(values, by, torch.float32)
        np.testing.assert_array_equal(theirs.numpy(), expected)


def test_rows_from_the_middle_into_any_layout(tmp_path):
    values, by = matrix(300, 64), scales(3, 1)
    source = unpacked(tmp_path, {"x.weight": values, "x.weight_scale_inv": by}, weight_block_size=[128, 128])
    expected = by_definition(values, by, (128, 128))
    out = np.empty((64, 8, 14), np.float32).transpose(1, 2, 0)  # as an array of ours holds heads apart
    source.read_into(out, 101 * 64)
    np.testing.assert_array_equal(out.reshape(112, 64), expected[101:213])


def test_more_than_is_unpacked_at_once(tmp_path):
    values, by = matrix(1100, 1500), scales(9, 12)
    source = unpacked(tmp_path, {"x.weight": values, "x.weight_scale_inv": by}, weight_block_size=[128, 128])
    np.testing.assert_array_equal(read(source), by_definition(values, by, (128, 128)))


@pytest.mark.parametrize("ending", ["weight_scale", "weight_scale_inv"])
@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
def test_one_scale_for_a_matrix(ending: str, shape: tuple[int, ...], tmp_path):
    values, by = matrix(48, 80), scales(*shape)
    tensors = {"x.weight": values, f"x.{ending}": by, "x.input_scale": torch.ones(()), "x.activation_scale": by + 1}
    source = unpacked(tmp_path, tensors, activation_scheme="static")
    np.testing.assert_array_equal(read(source), values.float().numpy() * np.float32(by.item()))


def test_one_scale_for_a_row(tmp_path):
    values, by = matrix(48, 80), scales(48, 1)
    source = unpacked(tmp_path, {"x.weight": values, "x.weight_scale": by})
    np.testing.assert_array_equal(read(source), values.float().numpy() * by.numpy())


def test_experts_in_one_tensor(tmp_path):
    values, by = matrix(5, 48, 40), scales(5, 3, 2)
    tensors = {"experts.gate_up_proj": values, "experts.gate_up_proj_scale_inv": by}
    source = unpacked(tmp_path, tensors, weight_block_size=[16, 32])
    expected = by_definition(values, by, (16, 32))
    np.testing.assert_array_equal(read(source), expected)
    out = np.empty((2, 48, 40), np.float32)
    source.read_into(out, 3 * 48 * 40)
    np.testing.assert_array_equal(out, expected[3:])


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float8_e8m0fnu, torch.uint8], ids=str)
def test_scales_of_other_dtypes(kind: torch.dtype, tmp_path):
    values, exponents = matrix(32, 32), torch.tensor([[120, 127], [131, 100]], dtype=torch.uint8)
    by = torch.ldexp(torch.ones(2, 2), exponents.int() - 127)
    stored = exponents.view(kind) if kind.itemsize == 1 else by.to(kind)
    source = unpacked(tmp_path, {"x.weight": values, "x.weight_scale_inv": stored}, weight_block_size=[16, 16])
    np.testing.assert_array_equal(read(source), by_definition(values, by, (16, 16)))


def test_what_does_not_fit_is_listed(tmp_path):
    tensors = {
        "alone.weight": matrix(8, 8),
        "x.weight": matrix(40, 40),
        "x.weight_scale_inv": scales(3, 2),
        "fine.weight": torch.ones(8, 8),
    }
    save_file(tensors, tmp_path / "x.safetensors")
    with pytest.raises(LevgenError) as caught:
        fp8_tensors(read_header(tmp_path / "x.safetensors"), {"weight_block_size": [16, 16]}, BF16)
    assert caught.value.message.splitlines() == [
        "2 tensors can't be unpacked:",
        "  - alone.weight is float8_e4m3fn, and there is no alone.weight_scale_inv",
        "  - x.weight_scale_inv [3, 2] doesn't fit x.weight [40, 40], in blocks of [16, 16]",
    ]
    with pytest.raises(LevgenError, match="experts are stored as fp4 in a checkpoint of fp8"):
        fp8_tensors({}, {"expert_dtype": "fp4"}, BF16)
