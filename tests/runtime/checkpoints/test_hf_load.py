"""Loading a transformers checkpoint: the values, the names, the memory, and everything that can be wrong with one."""

import json
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("torch", reason="the reference is in torch")
from haliax.state_dict import to_torch_compatible_state_dict

from levgen.errors import LevgenError
from levgen.runtime.testing import assert_close, gradients_by_hf_name, skip_without_torch

skip_without_torch()

import torch
from gpt2_model import Gpt2LMHeadModel
from llama_model import LlamaLMHeadModel
from references import CASES, TOKENS, gpt2, llama, reference_logits
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForSequenceClassification

from levgen.runtime import load_hf


def rewrite(folder: Path, change) -> None:
    """Apply `change` to the state dict of the folder's only weight file."""
    path = folder / "model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file({name: tensor.contiguous().clone() for name, tensor in tensors.items()}, path, {"format": "pt"})


def rename(tensors: dict, old: str, new: str) -> None:
    tensors[new] = tensors.pop(old)


def equal(a, b) -> bool:
    a, b = jax.tree.leaves(a), jax.tree.leaves(b)
    return len(a) == len(b) and all(x.dtype == y.dtype and np.array_equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """Folder of each case, saved once; copy before changing."""
    folders = {}
    for case, (_, make) in CASES.items():
        folders[case] = tmp_path_factory.mktemp("saved") / case
        make().save_pretrained(folders[case])
    return folders


@pytest.fixture
def copied(checkpoints, tmp_path):
    return lambda case: Path(shutil.copytree(checkpoints[case], tmp_path / "copy"))


@pytest.mark.parametrize("case", CASES)
def test_logits_are_the_references(case, tmp_path):
    ModelClass, make = CASES[case]
    reference = make()
    reference.save_pretrained(tmp_path)
    model = load_hf(ModelClass, tmp_path)
    assert_close(eqx.filter_jit(model)(TOKENS), reference_logits(reference), 1e-5, case)


@pytest.mark.parametrize("case", CASES)
def test_names_and_values_are_those_of_haliax(case, checkpoints):
    model = load_hf(CASES[case][0], checkpoints[case])
    expected = to_torch_compatible_state_dict(model)
    found = gradients_by_hf_name(model)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert np.array_equal(found[name], value), name


@pytest.mark.parametrize("case", CASES)
def test_shards(case, checkpoints, tmp_path):
    ModelClass, make = CASES[case]
    make().save_pretrained(tmp_path, max_shard_size="40KB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 3
    assert equal(load_hf(ModelClass, tmp_path), load_hf(ModelClass, checkpoints[case]))


def test_dtypes(checkpoints, tmp_path):
    folder = checkpoints["llama"]
    whole = load_hf(LlamaLMHeadModel, folder)
    half = load_hf(LlamaLMHeadModel, folder, dtype="bfloat16")
    assert equal(half, jax.tree.map(lambda x: x.astype(jnp.bfloat16), whole))
    llama().to(torch.bfloat16).save_pretrained(tmp_path)
    assert equal(load_hf(LlamaLMHeadModel, tmp_path), half)
    assert equal(
        load_hf(LlamaLMHeadModel, tmp_path, dtype=jnp.float32), jax.tree.map(lambda x: x.astype("float32"), half)
    )
    with pytest.raises(LevgenError, match=r"unknown dtype 'bfloat61'\.\ndid you mean 'bfloat16'"):
        load_hf(LlamaLMHeadModel, folder, dtype="bfloat61")


def test_a_checkpoint_of_the_base_model_has_no_prefix(checkpoints, tmp_path):
    gpt2().transformer.save_pretrained(tmp_path)
    assert equal(load_hf(Gpt2LMHeadModel, tmp_path), load_hf(Gpt2LMHeadModel, checkpoints["gpt2"]))
    llama(tie_word_embeddings=True).model.save_pretrained(tmp_path / "llama")
    assert equal(load_hf(LlamaLMHeadModel, tmp_path / "llama"), load_hf(LlamaLMHeadModel, checkpoints["llama tied"]))


def test_buffers_of_older_versions_are_passed_over(checkpoints, copied):
    def add(tensors):
        for layer in range(3):
            tensors[f"transformer.h.{layer}.attn.bias"] = torch.ones(1, 1, 64, 64)
            tensors[f"transformer.h.{layer}.attn.masked_bias"] = torch.tensor(-1e4)

    folder = copied("gpt2")
    rewrite(folder, add)
    assert equal(load_hf(Gpt2LMHeadModel, folder), load_hf(Gpt2LMHeadModel, checkpoints["gpt2"]))


def test_a_vector_named_as_an_old_buffer_is_a_parameter_that_is_not_passed_over(copied):
    folder = copied("gpt2")
    rewrite(folder, lambda tensors: tensors.update({"transformer.h.0.attn.bias": torch.ones(64)}))
    with pytest.raises(LevgenError, match=r"unexpected transformer\.h\.0\.attn\.bias \[64\]"):
        load_hf(Gpt2LMHeadModel, folder)


def test_a_tied_head_in_the_file_must_be_the_embedding(checkpoints, copied):
    folder = copied("llama tied")
    rewrite(folder, lambda tensors: tensors.update({"lm_head.weight": tensors["model.embed_tokens.weight"]}))
    assert equal(load_hf(LlamaLMHeadModel, folder), load_hf(LlamaLMHeadModel, checkpoints["llama tied"]))
    rewrite(folder, lambda tensors: tensors.update({"lm_head.weight": 2 * tensors["model.embed_tokens.weight"]}))
    with pytest.raises(LevgenError, match=r"1 wrong:\n  - unexpected lm_head\.weight \[96, 64\]"):
        load_hf(LlamaLMHeadModel, folder)


def test_all_wrong_tensors_are_listed_with_both_names(copied):
    def change(tensors):
        rename(tensors, "model.layers.2.self_attn.q_proj.weight", "model.layers.2.self_attn.q_prj.weight")
        tensors["model.layers.1.mlp.up_proj.weight"] = torch.ones(80, 63)
        del tensors["lm_head.weight"]

    folder = copied("llama")
    rewrite(folder, change)
    with pytest.raises(LevgenError) as caught:
        load_hf(LlamaLMHeadModel, folder)
    text = str(caught.value)
    q_proj = "transformer.layers.self_attn.q_proj.weight[2]"
    misspelt = "model.layers.2.self_attn.q_prj.weight [128, 64]"
    up_proj = "transformer.layers.mlp.up_proj.weight[1]"
    for line in (
        "has 41 tensors for the 42 of the model, 4 wrong:",
        f"missing model.layers.2.self_attn.q_proj.weight [128, 64], our {q_proj}; nearest in the checkpoint: "
        + misspelt,
        f"misshapen model.layers.1.mlp.up_proj.weight: [80, 63], our {up_proj} is [80, 64]",
        "missing lm_head.weight [96, 64], our lm_head.weight",
        f"unexpected {misspelt}; nearest of ours: {q_proj}",
    ):
        assert line in text


def test_another_architecture_is_refused_before_the_weights_are_looked_at(checkpoints, tmp_path):
    config = LlamaConfig(**{**llama().config.to_dict(), "num_labels": 2})
    LlamaForSequenceClassification(config).save_pretrained(tmp_path)
    for file in tmp_path.glob("*.safetensors"):
        file.write_bytes(b"unread")
    with pytest.raises(
        LevgenError, match=r"of LlamaForCausalLM or LlamaModel; config\.json says LlamaForSequenceClass"
    ):
        load_hf(LlamaLMHeadModel, tmp_path)
    with pytest.raises(LevgenError, match=r"model_type 'gpt2', found 'llama'(.|\n)*levgen new-model llama"):
        load_hf(Gpt2LMHeadModel, tmp_path)


def test_pickles_are_refused_with_the_way_to_convert_them(copied):
    folder = copied("gpt2")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(
        LevgenError, match=r"pickles only \(pytorch_model\.bin\)(.|\n)*AutoModelForCausalLM\.from_pretrained"
    ):
        load_hf(Gpt2LMHeadModel, folder)


def test_folders_that_are_no_checkpoint(copied, tmp_path):
    with pytest.raises(LevgenError, match=r"no folder .*nowhere"):
        load_hf(Gpt2LMHeadModel, tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(LevgenError, match=r"no file .*config\.json"):
        load_hf(Gpt2LMHeadModel, tmp_path / "empty")
    (tmp_path / "empty" / "config.json").write_text("{")
    with pytest.raises(LevgenError, match=r"config\.json is not JSON"):
        load_hf(Gpt2LMHeadModel, tmp_path / "empty")
    folder = copied("gpt2")
    (folder / "model.safetensors").rename(folder / "x")
    with pytest.raises(LevgenError, match=r"no model\.safetensors and no model\.safetensors\.index\.json"):
        load_hf(Gpt2LMHeadModel, folder)


def test_files_that_are_cut_short(copied):
    folder = copied("gpt2")
    path = folder / "model.safetensors"
    content = path.read_bytes()
    for size, message in ((len(content) - 5, "is cut short"), (100, "is cut short at 100 bytes"), (3, "at 3 bytes")):
        path.write_bytes(content[:size])
        with pytest.raises(LevgenError, match=message):
            load_hf(Gpt2LMHeadModel, folder)
    path.write_bytes((16).to_bytes(8, "little") + b"no json here at all")
    with pytest.raises(LevgenError, match="has no safetensors header"):
        load_hf(Gpt2LMHeadModel, folder)


def test_an_index_whose_file_is_missing(tmp_path):
    gpt2().save_pretrained(tmp_path, max_shard_size="40KB")
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    missing = sorted(set(index["weight_map"].values()))[1]
    (tmp_path / missing).unlink()
    with pytest.raises(LevgenError, match=rf"1 are missing: {missing}"):
        load_hf(Gpt2LMHeadModel, tmp_path)


def test_an_axis_mapping_wants_a_mesh(checkpoints):
    with pytest.raises(LevgenError, match="there is no mesh"):
        load_hf(Gpt2LMHeadModel, checkpoints["gpt2"], axis_mapping={"embed": "data"})


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets the peak of a process start anew")
def test_memory_peaks_near_the_size_of_the_weights(tmp_path):
    """In a process of its own, whose memory is known before."""
    script = """
        import sys
        from pathlib import Path

        sys.path.insert(0, sys.argv[2])
        import jax
        from benchmarks.peak_memory import added_peak
        from gpt2_model import Gpt2Config, Gpt2LMHeadModel
        from haliax import Axis
        from levgen.runtime import load_hf
        import transformers.models.auto.modeling_auto

        folder = Path(sys.argv[1])
        load_hf(Gpt2LMHeadModel, folder / "tiny")
        dtype = sys.argv[3] if len(sys.argv) > 3 else None
        loaded = []
        peak = added_peak(lambda: loaded.append(load_hf(Gpt2LMHeadModel, folder / "large", dtype=dtype)))
        print(sum(x.nbytes for x in jax.tree.leaves(loaded)), peak)
    """
    gpt2().save_pretrained(tmp_path / "tiny")
    gpt2(n_embd=640, n_layer=12, vocab_size=2000).save_pretrained(tmp_path / "large")
    for arguments in ([], ["bfloat16"]):
        helpers = Path(__file__).parents[1]
        command = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path), str(helpers), *arguments]
        out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        size, peak = map(int, out.split()[-2:])
        assert size > 50e6
        assert 0.9 * size < peak < 1.1 * size + 20e6, (arguments, size, peak)
