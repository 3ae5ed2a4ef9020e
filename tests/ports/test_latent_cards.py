"""What latent attention adds to the proof of a card: yarn's scale of the scores, the cache's size, the operations."""

import dataclasses
from pathlib import Path

import equinox as eqx
import haliax as hax
import jax
import jax.numpy as jnp
import jax.random as jrandom
import pytest
from haliax import Axis

pytest.importorskip("torch")
pytest.importorskip("transformers")

from test_cards import MODEL, Rendered, Vocab, logits_error, render

from levgen.architecture.catalogue import get, known_types
from levgen.reference.randomize import randomized, token_ids
from levgen.runtime import AttentionMask, Rotary
from levgen.runtime.abstract import abstract_model
from levgen.runtime.checkpoints.names import hf_tensors, model_arrays, replace_arrays
from levgen.runtime.generation.kv_cache import first_step
from levgen.runtime.testing import relative_error
from levgen.scaffold.complete import complete
from levgen.scaffold.count import cached_numbers

YARN = Rotary(theta=500.0, kind="yarn", factor=4.0, original_max_position_embeddings=40, mscale=0.7, mscale_all_dim=1.3)
LATENT = [name for name in known_types() if get(name).attention.heads == "latent"]

MODULE = 1e-5
SHARED_FIELDS = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "q_lora_rank",
    "kv_lora_rank",
    "qk_nope_head_dim",
    "qk_rope_head_dim",
    "v_head_dim",
    "rms_norm_eps",
    "max_position_embeddings",
    "rope_parameters",
)


@pytest.fixture
def rendered(model_type: str, tmp_path: Path) -> Rendered:
    return render(complete(get(model_type)), model_type, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("model_type", LATENT)
def test_yarn_scales_the_scores_past_its_trained_length(rendered: Rendered) -> None:
    config = dataclasses.replace(rendered.tiny, rope=YARN)
    assert YARN.score_scaling > 1.3
    assert logits_error(rendered.port(config), 200) <= MODEL


@pytest.mark.parametrize(
    ("model_type", "bytes_a_token"),
    [
        ("youtu", 32 * (512 + 64) * 2),
        ("deepseek_v2", 32 * (512 + 64) * 2),
        ("minicpm3", 62 * (256 + 32) * 2),
        ("deepseek_v32", 61 * (512 + 64 + 128) * 2),
        ("glm_moe_dsa", 78 * (512 + 64 + 128) * 2),
        ("axk2", 48 * (128 + 32 + 128) * 2),
    ],
)
def test_cache_at_full_size_in_bfloat16(rendered: Rendered, model_type: str, bytes_a_token: int) -> None:
    """The latent, the part of the key that all heads share, an indexer's key, and nothing for each head."""
    config = type(rendered.tiny)()
    model = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, jnp.bfloat16),
        abstract_model(config.model_type, config, Vocab.size),
    )
    tokens = hax.zeros((Axis("batch", 1), Axis("position", 16)), dtype=jnp.int32)
    _, cache = eqx.filter_eval_shape(first_step, model, tokens, tokens == 0, capacity=64)
    assert cache.nbytes == 64 * bytes_a_token
    assert bytes_a_token == 2 * (cached_numbers(complete(get(model_type))) or 0)


@pytest.mark.parametrize("model_type", ["youtu"])
def test_operations_count_queries_and_values_of_their_own_sizes(rendered: Rendered) -> None:
    config = rendered.tiny
    maps = 48 * 44 + 44 * 4 * 22 + 48 * (28 + 8) + 28 * 4 * (14 + 10) + 4 * 10 * 48 + 3 * 48 * 80
    attention = 10 * (2 * 4 * 22 + 3 * 4 + 2 * 4 * 10)
    assert config.flops_per_token(100, 10) == 3 * (2 * maps + attention) + 2 * 100 * 48


@pytest.mark.slow
@pytest.mark.parametrize("q_lora_rank", [44, None])
@pytest.mark.parametrize("mixture", ["deepseek_v2", "deepseek_v3", "glm4_moe_lite"])
@pytest.mark.parametrize("model_type", ["youtu"])
def test_attention_equals_that_of_mixtures(rendered: Rendered, mixture: str, q_lora_rank: int | None) -> None:
    """Types that have this attention beside experts: their attention alone, with its own names of weights."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = dataclasses.replace(rendered.tiny, rope=YARN, num_layers=1, q_lora_rank=q_lora_rank)
    of_dense = config.to_hf_config(Vocab.size).to_dict()
    experts = {
        "n_routed_experts": 4,
        "num_experts_per_tok": 2,
        "n_group": 1,
        "topk_group": 1,
        "moe_intermediate_size": 16,
    }
    sizes = {name: of_dense[name] for name in SHARED_FIELDS}
    hf = AutoConfig.for_model(mixture, **sizes, **experts, pad_token_id=None, attn_implementation="eager")
    reference = randomized(AutoModelForCausalLM.from_config(hf))
    theirs = reference.model.layers[0].self_attn
    seen: list[torch.Tensor] = []
    theirs.register_forward_hook(
        lambda module, args, kwargs, out: seen.extend([kwargs["hidden_states"], out[0]]), with_kwargs=True
    )
    with torch.no_grad():
        reference(token_ids(Vocab.size, 90))

    fresh = eqx.filter_jit(rendered.module.YoutuAttention.init)(config, key=jrandom.PRNGKey(0))
    weights = {name: parameter.detach().numpy() for name, parameter in theirs.named_parameters()}
    tensors, arrays = hf_tensors(fresh), model_arrays(fresh)
    assert {tensor.name for tensor in tensors} == weights.keys()
    for tensor in tensors:
        arrays[tensor.leaf] = jnp.asarray(weights[tensor.name].reshape(arrays[tensor.leaf].shape))
    ours = replace_arrays(fresh, arrays)
    x = hax.named(seen[0].numpy(), ("batch", "position", "embed"))
    out = eqx.filter_jit(ours)(x, AttentionMask.causal(), hax.arange(Axis("position", 90)))
    assert relative_error(out, seen[1].numpy()) <= MODULE
