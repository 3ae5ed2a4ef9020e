"""Experts in 4 bits are read as transformers unpacks gpt-oss's, bit for bit."""

from pathlib import Path

import numpy as np
import pytest

from levgen.runtime.testing import skip_without_torch

skip_without_torch()

import torch
from safetensors.torch import save_file
from transformers.integrations.mxfp4 import convert_moe_packed_tensors

from levgen.errors import LevgenError
from levgen.runtime.checkpoints import mxfp4
from levgen.runtime.checkpoints.mxfp4 import Mxfp4Experts, mxfp4_tensors
from levgen.runtime.checkpoints.safetensors_io import read_header

F32, BF16 = np.dtype(np.float32), np.dtype("bfloat16")


def packed(experts: int, out: int, blocks: int) -> tuple[torch.Tensor, torch.Tensor]:
    drawn = torch.Generator().manual_seed(5)
    codes = torch.randint(256, (experts, out, blocks, 16), dtype=torch.uint8, generator=drawn)
    return codes, torch.randint(1, 250, (experts, out, blocks), dtype=torch.uint8, generator=drawn)


def unpacked(folder: Path, blocks: torch.Tensor, scales: torch.Tensor) -> Mxfp4Experts:
    tensors = {"mlp.down_proj_blocks": blocks, "mlp.down_proj_scales": scales, "mlp.down_proj_bias": torch.ones(3)}
    save_file(tensors, folder / "x.safetensors")
    found = mxfp4_tensors(read_header(folder / "x.safetensors"), {}, BF16)
    assert set(found) == {"mlp.down_proj", "mlp.down_proj_bias"}
    only = found["mlp.down_proj"]
    assert isinstance(only, Mxfp4Experts)
    return only


@pytest.mark.parametrize("dtype", [F32, BF16], ids=str)
@pytest.mark.parametrize("at_once", [1, 2**20])
def test_it_is_what_transformers_unpacks(dtype: np.dtype, at_once: int, tmp_path, monkeypatch):
    monkeypatch.setattr(mxfp4, "AT_ONCE", at_once)
    blocks, scales = packed(3, 20, 4)
    source = unpacked(tmp_path, blocks, scales)
    assert (source.shape, source.dtype) == ((3, 128, 20), BF16)
    expected = convert_moe_packed_tensors(blocks, scales, dtype=getattr(torch, dtype.name)).float().numpy()
    out = np.full(source.shape, np.nan, dtype)
    source.read_into(out)
    np.testing.assert_array_equal(out.astype(F32), expected)
    # Some experts, apart in an array as ours: {expert, embed, mlp, gate_up} of {expert, embed, gate_up, mlp}.
    part = np.full((2, 128, 2, 10), np.nan, dtype).swapaxes(2, 3)
    source.read_into(part, 128 * 20)
    np.testing.assert_array_equal(part.reshape(2, 128, 20).astype(F32), expected[1:])


def test_the_ends_of_the_range(tmp_path):
    """A scale of 255 is not a number, one of 0 is 2^-127."""
    blocks = torch.full((1, 2, 1, 16), 0x27, dtype=torch.uint8)  # 6, then 1
    source = unpacked(tmp_path, blocks, torch.tensor([[[0], [255]]], dtype=torch.uint8))
    out = np.empty((1, 32, 2), np.float32)
    source.read_into(out)
    np.testing.assert_array_equal(out[0, :2, 0], np.asarray([6 * 2.0**-127, 2.0**-127], np.float32))
    assert np.isnan(out[..., 1]).all()


def test_what_does_not_fit_is_listed(tmp_path):
    blocks, scales = packed(3, 20, 4)
    tensors = {"a_blocks": blocks.clone(), "b_blocks": blocks, "b_scales": scales[:2].contiguous()}
    save_file(tensors, tmp_path / "x.safetensors")
    with pytest.raises(LevgenError) as caught:
        mxfp4_tensors(read_header(tmp_path / "x.safetensors"), {}, BF16)
    expected = "expected bytes {expert, out, block, 16} and {expert, out, block}"
    assert caught.value.message.splitlines() == [
        "2 tensors can't be unpacked:",
        "  - a_blocks has no a_scales",
        f"  - {expected}, got b_blocks uint8 [3, 20, 4, 16] and b_scales uint8 [2, 20, 4]",
    ]
