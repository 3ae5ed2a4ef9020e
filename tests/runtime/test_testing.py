"""What generated tests import, against transformers: it must pass what is right and fail what is wrong."""

import json
import os
from pathlib import Path

import equinox as eqx
import haliax as hax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("torch", reason="the reference is in torch")
from haliax import Axis

from levgen.errors import LevgenError
from levgen.runtime.testing import (
    assert_close,
    gradients_by_hf_name,
    hf_gradients,
    init_statistics,
    load_from_torch,
    module_from_torch,
    randomize,
    relative_error,
    save_reference,
    skip_without_torch,
    to_numpy,
    to_torch,
    trusted_folder,
    typical_error,
    without_rounding,
)

skip_without_torch()

import torch
from gpt2_model import Gpt2Config, Gpt2Mlp
from llama_model import LlamaAttention, LlamaConfig, LlamaLMHeadModel
from references import CASES, IDS, TOKENS, gpt2, llama, reference_logits
from transformers import DeepseekV3Config, DeepseekV3ForCausalLM

from levgen.runtime import LmExample, load_hf

A, B = Axis("a", 2), Axis("b", 3)


def test_relative_error():
    reference = np.asarray([[1.0, -4.0, 0.0], [0.0, 0.0, 2.0]])
    ours = reference + np.asarray([[0.0, 0.0, 0.0], [0.2, 0.0, 0.0]])
    for wrap in (lambda x: x, jnp.asarray, torch.from_numpy, lambda x: hax.named(jnp.asarray(x), (A, B))):
        assert relative_error(wrap(ours), reference) == pytest.approx(0.05, rel=1e-6)
        assert relative_error(ours, wrap(reference)) == pytest.approx(0.05, rel=1e-6)
    assert relative_error(0.0, 0.0) == 0.0
    assert relative_error(1e-30, 0.0) == float("inf")
    for bad in (np.nan, np.inf):
        assert relative_error(np.asarray([bad]), np.asarray([1.0])) == float("inf")
        assert relative_error(np.asarray([1.0]), np.asarray([bad])) == float("inf")
    with pytest.raises(LevgenError, match=r"shapes differ: ours \[3\], reference \[1, 3\]"):
        relative_error(np.zeros(3), np.zeros((1, 3)))


def test_the_error_of_a_typical_token():
    reference = hax.named(jnp.asarray([[[1.0, -4.0], [0.0, 1.0], [2.0, 1.0]]]), ("batch", "position", "vocab"))
    ours = reference + hax.named(jnp.asarray([[[0.2, 0.0], [2.0, 3.0], [0.1, -0.4]]]), reference.axes)
    assert relative_error(ours, reference) == pytest.approx(3.0 / 4)
    assert typical_error(ours, reference) == pytest.approx(0.4 / 4, rel=1e-6)
    assert typical_error(reference, reference) == 0.0
    assert typical_error(ours * np.nan, reference) == float("inf")
    with pytest.raises(LevgenError, match="shapes differ"):
        typical_error(ours["batch", 0], reference)


def test_assert_close_names_the_worst_index():
    reference = hax.named(jnp.asarray([[1.0, 2.0, 4.0], [1.0, 1.0, 1.0]]), (A, B))
    ours = reference.at[{A: 1, B: 2}].set(3.0)
    assert_close(ours, reference, 0.51, "logits")
    with pytest.raises(AssertionError) as caught:
        assert_close(ours, reference, 1e-3, "logits")
    assert str(caught.value) == (
        "logits: relative error 0.5, at most 0.001 is allowed; 1 of 6 values differ by more. "
        "Worst at [a=1, b=2]: ours 3, reference 1."
    )
    with pytest.raises(AssertionError, match=r"relative error inf.*Worst at \[1\]: ours nan"):
        assert_close(np.asarray([1.0, np.nan]), np.asarray([1.0, 5.0]), 1e-3, "x")


def test_conversions():
    named = hax.named(jnp.asarray([[1, 2, 3], [4, 5, 6]]), (A, B))
    assert to_torch(named).dtype == torch.int64
    assert to_torch(named).tolist() == [[1, 2, 3], [4, 5, 6]]
    half = to_torch(named.astype(jnp.bfloat16))
    assert half.dtype == torch.bfloat16
    assert to_numpy(half).dtype == np.float32
    assert to_numpy(half).tolist() == [[1, 2, 3], [4, 5, 6]]
    assert to_numpy(torch.ones(2, requires_grad=True)).tolist() == [1, 1]
    assert to_torch(hax.ones(A)).add_(1).tolist() == [2, 2]


def test_randomize_moves_everything_that_is_learned_and_nothing_that_is_computed():
    fresh = DeepseekV3Config(
        vocab_size=50,
        hidden_size=32,
        intermediate_size=48,
        moe_intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        n_routed_experts=4,
        n_group=1,
        topk_group=1,
        num_experts_per_tok=2,
        first_k_dense_replace=1,
        q_lora_rank=16,
        kv_lora_rank=16,
        qk_rope_head_dim=8,
        qk_nope_head_dim=8,
        v_head_dim=8,
        bos_token_id=0,
        eos_token_id=1,
    )
    before = DeepseekV3ForCausalLM(fresh)
    tables = {name: buffer.clone() for name, buffer in before.named_buffers() if "inv_freq" in name}
    model = randomize(before, seed=1)
    assert model is before
    assert not model.training
    assert model.config._attn_implementation == "eager"
    assert tables
    for name, table in tables.items():
        assert torch.equal(model.get_buffer(name), table)
    state = model.state_dict()
    assert any("e_score_correction_bias" in name for name in state), "a stored buffer"
    for name, tensor in state.items():
        centre = 1.0 if "norm" in name else 0.0
        assert 0.05 < float(tensor.std()) < 0.5, name
        assert abs(float(tensor.mean()) - centre) < 0.3, name
    again = randomize(DeepseekV3ForCausalLM(fresh), seed=1).state_dict()
    assert all(torch.equal(again[name], tensor) for name, tensor in state.items())
    other = randomize(DeepseekV3ForCausalLM(fresh), seed=2).state_dict()
    assert not any(torch.equal(other[name], tensor) for name, tensor in state.items())


def test_randomize_keeps_ties():
    model = gpt2()
    assert model.lm_head.weight is model.transformer.wte.weight


@pytest.mark.parametrize("case", CASES)
def test_weights_in_memory_are_those_of_the_file(case, tmp_path):
    ModelClass, make = CASES[case]
    reference = make()
    reference.save_pretrained(tmp_path)
    ours, loaded = load_from_torch(ModelClass, reference), load_hf(ModelClass, tmp_path)
    assert jax.tree.all(jax.tree.map(np.array_equal, ours, loaded))
    assert ours.config == loaded.config


def test_a_reference_that_ties_weights_unsaid_is_not_saved(tmp_path):
    reference = llama()
    save_reference(reference, tmp_path / "apart", max_shard_size="5GB")
    assert (tmp_path / "apart" / "model.safetensors").is_file()
    reference.model.layers[0].mlp.up_proj.weight = reference.model.layers[0].mlp.gate_proj.weight
    with pytest.raises(pytest.skip.Exception, match=r"transformers doesn't save the reference: .* shared tensors"):
        save_reference(reference, tmp_path / "tied", max_shard_size="5GB")


def test_weights_are_copied():
    reference = llama()
    ours = load_from_torch(LlamaLMHeadModel, reference)
    before = np.array(ours.embeddings.weight.array)
    with torch.no_grad():
        for parameter in reference.parameters():
            parameter.zero_()
    np.testing.assert_array_equal(ours.embeddings.weight.array, before)


def test_a_module_alone_with_articulated_projections():
    reference = llama()
    config = LlamaConfig.from_hf_config(reference.config)
    template = eqx.filter_eval_shape(LlamaAttention.init, config, key=jax.random.PRNGKey(0))
    ours = module_from_torch(template, reference.model.layers[1].self_attn)
    Pos = config.Pos.resize(20)
    x = hax.random.normal(jax.random.PRNGKey(1), (Axis("batch", 2), Pos, config.Embed))
    with torch.no_grad():
        positions = torch.arange(20)[None]
        rotary = reference.model.rotary_emb(to_torch(x), positions)
        mask = torch.full((20, 20), float("-inf")).triu(1)[None, None]
        expected, _ = reference.model.layers[1].self_attn(to_torch(x), rotary, mask)
    assert_close(eqx.filter_jit(ours)(x, None, hax.arange(Pos)), expected, 1e-5, "attention")
    wrong = module_from_torch(template, reference.model.layers[0].self_attn)
    with pytest.raises(AssertionError, match="attention: relative error"):
        assert_close(eqx.filter_jit(wrong)(x, None, hax.arange(Pos)), expected, 1e-2, "attention")


def test_a_module_alone_with_transposed_projections():
    reference = gpt2()
    config = Gpt2Config.from_hf_config(reference.config)
    ours = module_from_torch(Gpt2Mlp.init(config, key=jax.random.PRNGKey(0)), reference.transformer.h[2].mlp)
    x = hax.random.normal(jax.random.PRNGKey(1), (Axis("batch", 2), config.Pos, config.Embed))
    with torch.no_grad():
        expected = reference.transformer.h[2].mlp(to_torch(x))
    assert_close(ours(x), expected, 1e-5, "mlp")


def test_a_module_of_another_kind_is_refused():
    reference = llama()
    config = LlamaConfig.from_hf_config(reference.config)
    template = eqx.filter_eval_shape(LlamaAttention.init, config, key=jax.random.PRNGKey(0))
    with pytest.raises(LevgenError, match=r"LlamaMLP has 3 tensors for the 8 of the model, 11 wrong:(.|\n)*gate_proj"):
        module_from_torch(template, reference.model.layers[0].mlp)


@pytest.mark.parametrize("case", ["llama", "gpt2"])
def test_gradients_of_every_parameter(case):
    ModelClass, make = CASES[case]
    reference = make()
    ids = torch.from_numpy(IDS)
    with pytest.raises(LevgenError, match=r"no gradients\.\nCall backward"):
        hf_gradients(reference)
    output = reference(ids, labels=ids)
    output.loss.backward()
    model = load_from_torch(ModelClass, reference)
    example = LmExample.causal(TOKENS)

    @eqx.filter_jit
    @eqx.filter_value_and_grad
    def loss_and_gradients(model):
        return model.compute_next_token_loss(example).scalar()

    loss, gradients = loss_and_gradients(model)
    assert_close(loss, output.loss, 1e-5, "loss")
    ours, theirs = gradients_by_hf_name(gradients), hf_gradients(reference)
    assert ours.keys() == theirs.keys()
    for name, gradient in theirs.items():
        assert_close(ours[name], gradient, 1e-3, name)
    assert reference_logits(reference).shape == (2, 40, 96)


def test_init_statistics_of_both_sides():
    reference = llama()
    ours, theirs = init_statistics(load_from_torch(LlamaLMHeadModel, reference)), init_statistics(reference)
    assert ours.keys() == theirs.keys()
    for name, (mean, std) in theirs.items():
        assert ours[name] == pytest.approx((mean, std), rel=1e-4, abs=1e-6)
    name = "model.layers.1.mlp.up_proj.weight"
    weight = reference.get_parameter(name)
    assert theirs[name] == pytest.approx((float(weight.mean().detach()), float(weight.detach().std())), rel=1e-3)


def _folder(path: Path, model_type: str) -> Path:
    path.mkdir()
    (path / "config.json").write_text(json.dumps({"model_type": model_type}))
    return path


def test_trusted_folder_is_the_one_of_the_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    willow, heron = _folder(tmp_path / "a", "willow"), _folder(tmp_path / "b", "heron")
    monkeypatch.setenv("LEVGEN_TRUST_REMOTE_CODE", os.pathsep.join(map(str, (willow, heron))))
    assert trusted_folder("heron") == heron
    assert trusted_folder("willow") == willow


@pytest.mark.parametrize("given", ["", "a"])
def test_without_a_trusted_folder_a_test_is_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    _folder(tmp_path / "a", "heron")
    monkeypatch.setenv("LEVGEN_TRUST_REMOTE_CODE", given and str(tmp_path / given))
    with pytest.raises(pytest.skip.Exception, match="set LEVGEN_TRUST_REMOTE_CODE to that folder"):
        trusted_folder("willow")


def test_a_trusted_folder_without_a_config_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEVGEN_TRUST_REMOTE_CODE", str(tmp_path))
    with pytest.raises(LevgenError, match=r"no config\.json"):
        trusted_folder("willow")


def test_a_gradient_that_is_only_rounding_is_zero():
    gradients = {"large": np.array([3.0, -4.0]), "small": np.array([0.0, 1e-5]), "rounding": np.array([2e-6, -1e-6])}
    cleaned = without_rounding(gradients)
    assert cleaned["rounding"].tolist() == [0.0, 0.0]
    assert all(np.array_equal(cleaned[name], gradients[name]) for name in ("large", "small"))
