import dataclasses

import draccus
import haliax as hax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("torch", reason="the reference is in torch")
import torch
import yaml
from haliax import Axis
from numeric import normal, relative_error
from transformers import LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
from transformers.models.cohere import modeling_cohere
from transformers.models.glm import modeling_glm
from transformers.models.llama import modeling_llama
from transformers.models.ministral3 import modeling_ministral3
from transformers.models.phi3 import modeling_phi3

from levgen.errors import LevgenError
from levgen.runtime.rotary import Rotary

Batch, Pos, Heads = Axis("batch", 2), Axis("position", 24), Axis("heads", 3)
MAX_SEQ_LEN = 64

# Dicts as transformers' standardised config.rope_parameters holds them; frequencies of 8 pairs for longrope.
SHORT, LONG = [1.0 + 0.05 * i for i in range(8)], [1.5 + 0.9 * i for i in range(8)]
ORIGINAL = {"original_max_position_embeddings": 32}
HF = {
    "default": {"rope_theta": 10000.0, "rope_type": "default"},
    "theta": {"rope_theta": 500000.0, "rope_type": "default"},
    "linear": {"rope_theta": 10000.0, "rope_type": "linear", "factor": 3.0},
    "dynamic": {"rope_theta": 10000.0, "rope_type": "dynamic", "factor": 2.5},
    "yarn": {"rope_theta": 10000.0, "rope_type": "yarn", "factor": 4.0, **ORIGINAL},
    "yarn_attention_factor": {
        "rope_theta": 1e4,
        "rope_type": "yarn",
        "factor": 4.0,
        "attention_factor": 0.7,
        **ORIGINAL,
    },
    "yarn_mscale": {
        "rope_theta": 10000.0,
        "rope_type": "yarn",
        "factor": 40.0,
        "beta_fast": 16.0,
        "beta_slow": 2.0,
        "mscale": 0.9,
        "mscale_all_dim": 0.5,
        **ORIGINAL,
    },
    "yarn_not_truncated": {"rope_theta": 150000.0, "rope_type": "yarn", "factor": 32.0, "truncate": False, **ORIGINAL},
    "yarn_truncated": {"rope_theta": 150000.0, "rope_type": "yarn", "factor": 32.0, "truncate": True, **ORIGINAL},
    "llama3": {
        "rope_theta": 500.0,
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        **ORIGINAL,
    },
    "longrope": {"rope_theta": 1e4, "rope_type": "longrope", "short_factor": SHORT, "long_factor": LONG, **ORIGINAL},
    "longrope_factor": {
        "rope_theta": 1e4,
        "rope_type": "longrope",
        "short_factor": SHORT,
        "long_factor": LONG,
        "factor": 7.0,
        **ORIGINAL,
    },
    "longrope_attention_factor": {
        "rope_theta": 1e4,
        "rope_type": "longrope",
        "short_factor": SHORT,
        "long_factor": LONG,
        "attention_factor": 1.3,
        **ORIGINAL,
    },
    "proportional": {"rope_theta": 10000.0, "rope_type": "proportional", "factor": 2.0},
}
PARTIAL = {
    name: {**parameters, "partial_rotary_factor": 0.5}
    for name, parameters in HF.items()
    if name in ("default", "linear", "dynamic", "yarn", "llama3", "longrope", "proportional")
}
# Within the original 32, past it, past the maximum of 64, past 512; each with an arbitrary start in each row.
STARTS = {"short": (0, 5), "past_original": (3, 30), "past_max": (17, 90), "far": (600, 1500)}


def head_size(parameters):
    """16 dimensions that turn, whatever the fraction (proportional turns fewer)."""
    return Axis("head_size", 32 if "partial_rotary_factor" in parameters else 16)


def config_of(parameters, size):
    return LlamaConfig(
        hidden_size=3 * size,
        num_attention_heads=3,
        head_dim=size,
        max_position_embeddings=MAX_SEQ_LEN,
        rope_parameters=dict(parameters),
    )


def positions(starts):
    return hax.arange(Pos).broadcast_axis(Batch) + hax.named(jnp.asarray(STARTS[starts]), Batch)


def reference(modeling, rotary_class, parameters, q, k, pos_ids):
    """transformers' own module and function on {batch, position, heads, head_size}."""
    config = config_of(parameters, q.axes[-1].size)
    rope = rotary_class(config)
    q, k = (torch.tensor(np.asarray(x.array)).transpose(1, 2) for x in (q, k))
    cos, sin = rope(q, torch.tensor(np.asarray(pos_ids.rearrange((Batch, Pos)).array)))
    return [x.transpose(1, 2).numpy() for x in modeling.apply_rotary_pos_emb(q, k, cos, sin)]


@pytest.mark.parametrize("starts", STARTS)
@pytest.mark.parametrize("name", list(HF))
@pytest.mark.parametrize("layout", ["half", "interleaved"])
def test_every_kind_turns_as_in_transformers(name, starts, layout):
    parameters = HF[name]
    HeadSize = head_size(parameters)
    modeling, rotary_class = {
        "half": (modeling_llama, modeling_llama.LlamaRotaryEmbedding),
        "interleaved": (modeling_cohere, modeling_cohere.CohereRotaryEmbedding),
    }[layout]
    q, k = normal(0, Batch, Pos, Heads, HeadSize), normal(1, Batch, Pos, Heads, HeadSize)
    pos_ids = positions(starts)
    expected = reference(modeling, rotary_class, parameters, q, k, pos_ids)

    rope = Rotary.from_hf(parameters, max_seq_len=MAX_SEQ_LEN)
    turn = hax.named_jit(lambda x, pos_ids: rope(x, pos_ids, HeadSize, layout))
    for x, theirs in zip((q, k), expected, strict=True):
        ours = turn(x, pos_ids)
        assert ours.axes == x.axes
        # An angle is rounded to fp32: at position 1500 it is good to 1e-4 in either library, and equal frequencies
        # round alike. `dynamic` takes its powers in the graph.
        assert relative_error(ours, theirs) < (1e-5 if name == "dynamic" else 1e-6)


@pytest.mark.parametrize("starts", ["short", "far"])
@pytest.mark.parametrize("name", [name for name in PARTIAL if name != "proportional"])
@pytest.mark.parametrize("layout", ["half", "interleaved"])
def test_a_part_of_the_head_turns_as_in_transformers(name, starts, layout):
    parameters = PARTIAL[name]
    HeadSize = head_size(parameters)
    modeling, rotary_class = {
        "half": (modeling_phi3, modeling_phi3.Phi3RotaryEmbedding),
        "interleaved": (modeling_glm, modeling_glm.GlmRotaryEmbedding),
    }[layout]
    q, k = normal(0, Batch, Pos, Heads, HeadSize), normal(1, Batch, Pos, Heads, HeadSize)
    pos_ids = positions(starts)
    expected, _ = reference(modeling, rotary_class, parameters, q, k, pos_ids)

    ours = Rotary.from_hf(parameters, max_seq_len=MAX_SEQ_LEN)(q, pos_ids, HeadSize, layout)
    np.testing.assert_array_equal(ours.array[..., 16:], q.array[..., 16:])
    assert relative_error(ours, expected) < (1e-5 if name == "dynamic" else 1e-6)


def test_proportional_leaves_the_other_pairs_still():
    parameters = PARTIAL["proportional"]
    HeadSize = head_size(parameters)
    q = normal(0, Batch, Pos, Heads, HeadSize)
    pos_ids = positions("far")
    rotary_class, modeling = modeling_llama.LlamaRotaryEmbedding, modeling_llama
    expected, _ = reference(modeling, rotary_class, parameters, q, q, pos_ids)
    ours = Rotary.from_hf(parameters, max_seq_len=MAX_SEQ_LEN)(q, pos_ids, HeadSize)
    assert relative_error(ours, expected) < 1e-6
    np.testing.assert_array_equal(ours.array[..., 8:16], q.array[..., 8:16])


@pytest.mark.parametrize("name", list(HF))
def test_scores_of_latent_attention_are_scaled_as_in_transformers(name):
    from transformers.models.youtu.modeling_youtu import yarn_apply_mscale

    rope = Rotary.from_hf(HF[name], max_seq_len=MAX_SEQ_LEN)
    assert 0.3 * rope.score_scaling == pytest.approx(yarn_apply_mscale(HF[name], 0.3), rel=1e-12)
    assert (rope.score_scaling != 1.0) == (name == "yarn_mscale")


@pytest.mark.parametrize("theta", [10000.0, 500000.0, 1e6, 1e7])
@pytest.mark.parametrize("size", [64, 128])
def test_frequencies_agree_at_position_4096(theta, size):
    config = config_of({"rope_theta": theta, "rope_type": "linear", "factor": 1.0}, size)
    theirs, _ = ROPE_INIT_FUNCTIONS["linear"](config)
    HeadSize, Here = Axis("head_size", size), Axis("position", 1)
    # Ones in the first half and zeros in the second come out as cosines and sines.
    x = hax.concatenate(
        "head_size", [hax.ones((Here, HeadSize.resize(size // 2))), hax.zeros((Here, HeadSize.resize(size // 2)))]
    )
    ours = Rotary(theta=theta)(x, hax.named(jnp.asarray([4096]), Here), HeadSize).array[0]
    angles = (torch.tensor(4096.0) * theirs).numpy()
    expected = np.concatenate((np.cos(angles.astype(np.float64)), np.sin(angles.astype(np.float64))))
    difference = np.abs(np.asarray(ours) - expected)
    # torch's fp32 power is off by an ulp for about one frequency in a hundred: 2e-4 of that angle, and of no other.
    assert np.sum(difference > 1e-6) <= 2
    assert difference.max() < 3e-4


@pytest.mark.parametrize("name", [*HF, *(f"{name}/partial" for name in PARTIAL)])
def test_hf_dicts_come_back_exactly(name):
    parameters = PARTIAL[name.removesuffix("/partial")] if name.endswith("/partial") else HF[name]
    standardised = dict(config_of(parameters, head_size(parameters).size).rope_parameters)
    rope = Rotary.from_hf(standardised, max_seq_len=MAX_SEQ_LEN)
    assert rope.to_hf() == standardised
    assert Rotary.from_hf(rope.to_hf(), max_seq_len=MAX_SEQ_LEN) == rope
    assert {type(value) for value in rope.to_hf().values()} <= {float, int, str, bool, list}


@dataclasses.dataclass(frozen=True)
class _Config:
    rope: Rotary = Rotary(theta=500000.0)  # noqa: RUF009  # frozen, as a field of generated configs is


@pytest.mark.parametrize("name", HF)
def test_yaml_holds_every_kind(name):
    config = _Config(Rotary.from_hf(HF[name], max_seq_len=MAX_SEQ_LEN))
    text = draccus.dump(config)
    parsed = draccus.decode(_Config, yaml.safe_load(text))
    assert parsed == config
    assert hash(parsed) == hash(config)
    assert {config: 1}[parsed] == 1


def test_lists_become_tuples():
    rope = Rotary(kind="longrope", factor=2.0, short_factor=SHORT, long_factor=LONG, **ORIGINAL)
    assert isinstance(rope.short_factor, tuple)
    assert isinstance(hash(rope), int)


@pytest.mark.parametrize("kind", ["half", "interleaved"])
def test_angles_are_fp32_in_a_bf16_model(kind):
    HeadSize = Axis("head_size", 16)
    x = normal(0, Batch, Pos, HeadSize).astype(jnp.bfloat16)
    rope, pos_ids = Rotary(), positions("far")
    found = rope(x, pos_ids, HeadSize, kind)
    assert found.dtype == jnp.bfloat16
    exact = rope(x.astype(jnp.float32), pos_ids, HeadSize, kind)
    assert relative_error(found.astype(jnp.float32), exact) < 2**-8


def test_axes_may_stand_in_any_order_and_positions_have_any_name():
    HeadSize, Time = Axis("head_size", 16), Axis("time", 7)
    x = normal(0, HeadSize, Heads, Time, Batch)
    pos_ids = hax.arange(Time).broadcast_axis(Batch) + hax.named(jnp.asarray([3, 80]), Batch)
    usual = Rotary()(x.rearrange((Batch, Time, Heads, HeadSize)), pos_ids, HeadSize)
    found = Rotary()(x, pos_ids.rearrange((Batch, Time)), HeadSize)
    assert found.axes == x.axes
    np.testing.assert_array_equal(found.rearrange(usual.axes).array, usual.array)


@pytest.mark.parametrize("name", ["default", "dynamic", "longrope"])
def test_jit_vmap_and_gradients(name):
    parameters = HF[name]
    HeadSize = head_size(parameters)
    rope = Rotary.from_hf(parameters, max_seq_len=MAX_SEQ_LEN)
    x, pos_ids = normal(0, Batch, Pos, HeadSize), positions("past_max")
    same = hax.arange(Pos).broadcast_axis(Batch)
    eager = rope(x, pos_ids, HeadSize)
    np.testing.assert_allclose(hax.named_jit(rope)(x, pos_ids, HeadSize).array, eager.array, atol=1e-5)
    mapped = hax.vmap(lambda x, pos_ids: rope(x, pos_ids, HeadSize), Batch)(x, same)
    np.testing.assert_allclose(mapped.array, rope(x, same, HeadSize).array, atol=1e-5)
    # Turning keeps lengths (but for the attention factor), so the gradient of the squared length is known.
    gradient = jax.grad(lambda x: hax.sum(hax.square(rope(x, pos_ids, HeadSize))).scalar())(x)
    assert relative_error(gradient, 2 * rope.attention_scaling**2 * np.asarray(x.array)) < 1e-5


WRONG = {
    "unknown kind": (lambda: Rotary(kind="yarm"), "yarn"),
    "no factor": (lambda: Rotary(kind="linear"), "factor"),
    "no maximum": (lambda: Rotary(kind="dynamic", factor=2.0), "max_position_embeddings"),
    "no original": (lambda: Rotary(kind="yarn", factor=2.0), "original_max_position_embeddings"),
    "no high": (lambda: Rotary(kind="llama3", factor=2.0, low_freq_factor=1.0, **ORIGINAL), "high_freq_factor"),
    "crossed": (
        lambda: Rotary(kind="llama3", factor=2.0, low_freq_factor=4.0, high_freq_factor=1.0, **ORIGINAL),
        "greater",
    ),
    "no scale": (lambda: Rotary(kind="longrope", short_factor=SHORT, long_factor=LONG, **ORIGINAL), "factor"),
    "unread": (lambda: Rotary(factor=2.0), "don't read factor"),
    "negative": (lambda: Rotary(theta=-1.0), "positive theta"),
    "fraction": (lambda: Rotary(fraction=1.5), "between 0 and 1"),
    "unknown key": (lambda: Rotary.from_hf({"rope_theta": 1.0, "facter": 2.0}, max_seq_len=8), "factor"),
    "sections": (lambda: Rotary.from_hf({"rope_theta": 1.0, "mrope_section": [1, 1]}, max_seq_len=8), "mrope_section"),
    "no theta": (lambda: Rotary.from_hf({"rope_type": "default"}, max_seq_len=8), "rope_theta"),
    "nested": (lambda: Rotary.from_hf({"full_attention": HF["default"]}, max_seq_len=8), "full_attention"),
    "layout": (lambda: Rotary()(_x(16), hax.arange(Pos), Axis("head_size", 16), "halves"), "half"),
    "odd": (lambda: Rotary(fraction=0.2)(_x(16), hax.arange(Pos), Axis("head_size", 16)), "is 3"),
    "axes": (lambda: Rotary()(_x(16), positions("short"), Axis("head_size", 16)), "batch"),
    "lengths": (
        lambda: Rotary.from_hf(HF["longrope"], max_seq_len=64)(_x(32), hax.arange(Pos), Axis("head_size", 32)),
        "16 pairs",
    ),
}


def _x(size):
    return normal(0, Pos, Axis("head_size", size))


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_is_refused(case):
    call, message = WRONG[case]
    with pytest.raises(LevgenError, match=message):
        call()


def test_the_old_name_of_rope_type_is_read():
    old = {"rope_theta": 10000.0, "type": "linear", "rope_type": "linear", "factor": 2.0}
    assert Rotary.from_hf(old, max_seq_len=8) == Rotary(kind="linear", factor=2.0)
    with pytest.raises(LevgenError, match="type"):
        Rotary.from_hf({**old, "type": "dynamic"}, max_seq_len=8)


def test_queries_grow_as_the_reference_s() -> None:
    parameters = {**HF["yarn"], "llama_4_scaling_beta": 0.3}
    rotary = Rotary.from_hf({**parameters, "max_position_embeddings": MAX_SEQ_LEN}, max_seq_len=MAX_SEQ_LEN)
    assert rotary.query_scaling == 0.3
    assert rotary.to_hf() == parameters
    positions = hax.arange(Axis("position", 200), start=5)
    q = normal(1, Heads, positions.axes[0])
    theirs = modeling_ministral3.get_llama_4_attn_scale(torch.arange(5, 205)[None], 0.3, 32)[0, 0, :, 0]
    expected = q.array * theirs.numpy()
    assert relative_error(rotary.scaled_queries(q, positions).array, expected) < 1e-6
    assert rotary.scaled_queries(q.astype(jnp.bfloat16), positions).dtype == jnp.bfloat16
    assert Rotary().scaled_queries(q, positions) is q


def test_only_one_kind_says_how_queries_grow() -> None:
    with pytest.raises(LevgenError, match="don't read query_scaling"):
        Rotary.from_hf({**HF["llama3"], "llama_4_scaling_beta": 0.3}, max_seq_len=MAX_SEQ_LEN)
