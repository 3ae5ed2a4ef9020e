"""Checkpoints in few bits: which are read, as what, and how those are refused that are not."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from levgen.runtime.testing import skip_without_torch

skip_without_torch()

import torch
from llama_model import LlamaLMHeadModel
from references import llama
from safetensors.torch import load_file, save_file

from levgen.errors import LevgenError
from levgen.runtime import load_hf, save_hf
from levgen.runtime.checkpoints.quantized import read_tensors

BLOCK = 48  # divides neither the embedding's size nor the MLP's


@pytest.fixture
def folder(tmp_path) -> Path:
    """A checkpoint of a llama."""
    llama().save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def state(folder: Path, **how: object) -> None:
    """Say in config.json how the weights are stored."""
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"quantization_config": how}))


def pack(folder: Path) -> dict[str, torch.Tensor]:
    """Store the matrices of the layers in 8 bits; what they stand for, and all other tensors, by name."""
    tensors = load_file(folder / "model.safetensors")
    stands_for = dict(tensors)
    for name, values in list(tensors.items()):
        if name.endswith("_proj.weight"):
            rows, columns = (torch.arange(size) // BLOCK for size in values.shape)
            tensors[name] = (values * 50).to(torch.float8_e4m3fn)
            tensors[f"{name}_scale_inv"] = 0.01 + 0.02 * torch.rand(int(rows[-1]) + 1, int(columns[-1]) + 1)
            by = tensors[f"{name}_scale_inv"][rows[:, None], columns]
            stands_for[name] = tensors[name].float() * by
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    state(folder, quant_method="fp8", activation_scheme="dynamic", weight_block_size=[BLOCK, BLOCK])
    return stands_for


def equal(a, b) -> bool:
    a, b = jax.tree.leaves(a), jax.tree.leaves(b)
    return len(a) == len(b) and all(x.dtype == y.dtype and np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def test_a_model_in_8_bits(folder, tmp_path):
    stands_for = pack(folder)
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "config.json").write_text(json.dumps(llama().config.to_dict()))
    save_file(stands_for, tmp_path / "plain" / "model.safetensors")
    expected = load_hf(LlamaLMHeadModel, tmp_path / "plain")
    whole = load_hf(LlamaLMHeadModel, folder, dtype="float32")
    assert equal(whole, expected)
    assert equal(load_hf(LlamaLMHeadModel, folder), expected)  # config.json says float32
    half = load_hf(LlamaLMHeadModel, folder, dtype="bfloat16")
    assert equal(half, jax.tree.map(lambda x: x.astype(jnp.bfloat16), expected))

    save_hf(whole, tmp_path / "saved")
    assert "quantization_config" not in json.loads((tmp_path / "saved" / "config.json").read_text())
    saved = load_file(tmp_path / "saved" / "model.safetensors")
    assert saved.keys() == stands_for.keys()
    assert all(torch.equal(saved[name], values) for name, values in stands_for.items())


def test_its_dtype_is_the_one_that_config_json_states(folder):
    pack(folder)
    path = folder / "config.json"
    content = json.loads(path.read_text())
    for said, dtype in (({"dtype": "bfloat16"}, jnp.bfloat16), ({"torch_dtype": "float16"}, jnp.float16)):
        path.write_text(json.dumps({k: v for k, v in content.items() if k != "dtype"} | said))
        model = load_hf(LlamaLMHeadModel, folder)
        assert model.transformer.layers.stacked.mlp.up_proj.weight.array.dtype == dtype
        assert model.transformer.norm.weight.array.dtype == jnp.float32  # which is not in 8 bits


def test_a_matrix_of_another_shape_is_listed_as_any_other(folder):
    pack(folder)
    tensors = load_file(folder / "model.safetensors")
    tensors["model.layers.1.mlp.up_proj.weight"] = tensors["model.layers.1.mlp.up_proj.weight"][:, :63].contiguous()
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(LevgenError, match=r"misshapen model\.layers\.1\.mlp\.up_proj\.weight: \[80, 63\]"):
        load_hf(LlamaLMHeadModel, folder)


def test_scales_of_what_is_not_in_8_bits_are_unexpected(folder):
    tensors = load_file(folder / "model.safetensors")
    tensors["model.layers.1.mlp.up_proj.weight_scale_inv"] = torch.ones(2, 2)
    save_file(tensors, folder / "model.safetensors")
    state(folder, quant_method="fp8", weight_block_size=[BLOCK, BLOCK])
    with pytest.raises(LevgenError, match=r"unexpected model\.layers\.1\.mlp\.up_proj\.weight_scale_inv \[2, 2\]"):
        load_hf(LlamaLMHeadModel, folder)


@pytest.mark.parametrize(
    ("how", "named"),
    [
        ({"quant_method": "gptq", "bits": 4}, "as gptq;"),
        ({"quant_method": "awq"}, "as awq;"),
        ({"quant_method": "compressed-tensors"}, "as compressed-tensors;"),
        ({"load_in_4bit": True}, r"in a format without a name \(load_in_4bit\);"),
        ({"quant_method": "mxfp8"}, r"as mxfp8; .*\n.*did you mean 'mxfp4' or 'fp8'\?"),
    ],
)
def test_other_formats_are_refused_by_name(how, named, folder):
    state(folder, **how)
    with pytest.raises(LevgenError, match=rf"stored {named}") as caught:
        load_hf(LlamaLMHeadModel, folder)
    assert "of formats with few bits load_hf reads fp8 and mxfp4." in caught.value.message
    assert "Take the checkpoint that it was made from" in caught.value.hint
    assert f"from_pretrained({str(folder)!r}).dequantize().save_pretrained(NEW_FOLDER)" in caught.value.hint


@pytest.mark.parametrize("name", ["num_nextn_predict_layers", "num_mtp_layers"])
def test_layers_that_predict_further_tokens_are_left_out(name, folder):
    tensors = load_file(folder / "model.safetensors")
    further = {"model.layers.3.eh_proj.weight": torch.ones(4, 8), "model.layers.4.norm.weight": torch.ones(4)}
    save_file(tensors | further, folder / "model.safetensors")
    assert read_tensors(folder).keys() == tensors.keys() | further.keys()
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {name: 2}))
    assert read_tensors(folder).keys() == tensors.keys()
    path.write_text(json.dumps(json.loads(path.read_text()) | {name: 0}))
    assert read_tensors(folder).keys() == tensors.keys() | further.keys()
