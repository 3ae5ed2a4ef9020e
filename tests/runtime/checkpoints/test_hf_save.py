"""Saving: transformers reads the same bits, through one file and through shards, and a folder is never half-written."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("torch", reason="the reference is in torch")

from levgen.errors import LevgenError
from levgen.runtime.testing import load_from_torch, skip_without_torch

skip_without_torch()

import torch
from gpt2_model import Gpt2LMHeadModel
from llama_model import LlamaLMHeadModel
from references import CASES, gpt2, llama
from safetensors import safe_open
from transformers import AutoModelForCausalLM

from levgen.runtime import load_hf, save_hf
from levgen.runtime.checkpoints.safetensors_io import Writer


def assert_same_bits(a, b):
    """Two torch models have the same state dict, bit for bit."""
    first, second = a.state_dict(), b.state_dict()
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert tensor.dtype == second[name].dtype, name
        assert torch.equal(tensor, second[name]), name


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("shard", ["5GB", "40KB"])
@pytest.mark.parametrize("case", CASES)
def test_transformers_to_ours_to_transformers(case, shard, dtype, tmp_path):
    ModelClass, make = CASES[case]
    reference = make().to(dtype)
    reference.save_pretrained(tmp_path / "theirs", max_shard_size=shard)
    save_hf(load_hf(ModelClass, tmp_path / "theirs"), tmp_path / "ours", max_shard_size=shard)
    back = AutoModelForCausalLM.from_pretrained(tmp_path / "ours")
    assert type(back) is type(reference)
    assert_same_bits(back, reference)
    sharded = (tmp_path / "ours" / "model.safetensors.index.json").is_file()
    assert sharded == (shard == "40KB")
    assert len(list((tmp_path / "ours").glob("*.safetensors"))) > 3 * sharded


def test_files_are_named_and_indexed_as_transformers_does(tmp_path):
    reference = llama()
    reference.save_pretrained(tmp_path / "theirs")
    with safe_open(tmp_path / "theirs" / "model.safetensors", "np") as file:
        names = set(file.keys())
    save_hf(load_from_torch(LlamaLMHeadModel, reference), tmp_path / "ours", max_shard_size=50_000)
    index = json.loads((tmp_path / "ours" / "model.safetensors.index.json").read_text())
    assert set(index["weight_map"]) == names
    assert index["metadata"]["total_size"] == sum(4 * p.numel() for p in reference.parameters())
    files = sorted(path.name for path in (tmp_path / "ours").glob("*.safetensors"))
    assert files[0] == f"model-00001-of-{len(files):05d}.safetensors"
    for name in files:
        with safe_open(tmp_path / "ours" / name, "np") as file:
            assert file.metadata() == {"format": "pt"}
            assert set(file.keys()) == {tensor for tensor, where in index["weight_map"].items() if where == name}
            stored = sum(file.get_tensor(tensor).nbytes for tensor in file.keys())  # noqa: SIM118
        assert stored <= 50_000


def test_config_json(tmp_path):
    reference = llama()
    save_hf(load_from_torch(LlamaLMHeadModel, reference), tmp_path, config_overrides={"eos_token_id": 7})
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["architectures"] == ["LlamaForCausalLM"]
    assert (config["model_type"], config["dtype"], config["vocab_size"]) == ("llama", "float32", 96)
    assert config["eos_token_id"] == 7
    assert config["rope_parameters"] == reference.config.rope_parameters


def test_dtype_and_a_resized_vocabulary(tmp_path):
    model = load_from_torch(Gpt2LMHeadModel, gpt2()).resize_vocab(100, key=jax.random.PRNGKey(0))
    save_hf(model, tmp_path, dtype="bfloat16")
    back = load_hf(Gpt2LMHeadModel, tmp_path)
    assert back.vocab_size == 100
    for ours, theirs in zip(jax.tree.leaves(model), jax.tree.leaves(back), strict=True):
        assert theirs.dtype == jnp.bfloat16
        assert np.array_equal(ours.astype(jnp.bfloat16), theirs)
    assert AutoModelForCausalLM.from_pretrained(tmp_path).transformer.wte.weight.shape == (100, 64)


def test_a_checkpoint_is_replaced_and_other_files_are_kept(tmp_path):
    folder = tmp_path / "out"
    model = load_from_torch(Gpt2LMHeadModel, gpt2())
    save_hf(model, folder, max_shard_size="40KB")
    (folder / "tokenizer.json").write_text("kept")
    (folder / "logs").mkdir()
    (folder / "logs" / "a.txt").write_text("kept too")
    save_hf(model, folder)
    names = {str(path.relative_to(folder)) for path in folder.rglob("*")}
    assert names == {"config.json", "model.safetensors", "tokenizer.json", "logs", "logs/a.txt"}
    assert (folder / "logs" / "a.txt").read_text() == "kept too"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_error_half_way_leaves_the_folder_as_it_was(tmp_path, monkeypatch):
    folder = tmp_path / "out"
    save_hf(load_from_torch(Gpt2LMHeadModel, gpt2()), folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    write, count = Writer.write, 0

    def failing(self, name, values, first):
        nonlocal count
        count += 1
        if count == 5:
            raise OSError("no space left on device")
        write(self, name, values, first)

    monkeypatch.setattr(Writer, "write", failing)
    with pytest.raises(OSError, match="no space left"):
        save_hf(load_from_torch(LlamaLMHeadModel, llama()), folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    count = 0
    with pytest.raises(OSError, match="no space left"):
        save_hf(load_from_torch(LlamaLMHeadModel, llama()), tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_what_save_refuses(tmp_path):
    model = load_from_torch(Gpt2LMHeadModel, gpt2())
    (tmp_path / "file").write_text("")
    with pytest.raises(LevgenError, match="file is a file; save_hf writes a folder"):
        save_hf(model, tmp_path / "file")
    for size in ("5 bananas", 0, "GB"):
        with pytest.raises(LevgenError, match="max_shard_size must be"):
            save_hf(model, tmp_path / "out", max_shard_size=size)
    with pytest.raises(LevgenError, match=r"unknown dtype 'flaot32'(.|\n)*did you mean 'float32'"):
        save_hf(model, tmp_path / "out", dtype="flaot32")
    shapes = jax.eval_shape(lambda m: m, model)
    with pytest.raises(LevgenError, match="needs a model with arrays"):
        save_hf(shapes, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_relative_folder_and_missing_parents(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_hf(load_from_torch(Gpt2LMHeadModel, gpt2()), "a/b/c")
    assert sorted(path.name for path in Path("a/b/c").iterdir()) == ["config.json", "model.safetensors"]
