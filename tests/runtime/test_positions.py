import haliax as hax
import numpy as np
import pytest

pytest.importorskip("torch", reason="the reference is in torch")
import torch
from haliax import Axis
from numeric import relative_error
from transformers.models.beam.modeling_beam import compute_attention_scaling
from transformers.models.bloom.modeling_bloom import build_alibi_tensor
from transformers.models.ctrl.modeling_ctrl import positional_encoding
from transformers.models.llama4 import modeling_llama4
from transformers.models.llama4.modeling_llama4 import Llama4TextAttention, Llama4TextConfig
from transformers.models.mpt.modeling_mpt import build_mpt_alibi_tensor
from transformers.models.pegasus.modeling_pegasus import PegasusSinusoidalPositionalEmbedding
from transformers.models.xglm.modeling_xglm import XGLMSinusoidalPositionalEmbedding

from levgen.errors import LevgenError
from levgen.runtime.positions import AlibiBias, alibi_slopes, grown_queries, sinusoidal_table, tempered_queries

HEADS = [1, 2, 3, 4, 6, 8, 12, 14, 16, 20]
Pos = Axis("position", 40)
KeyPos = Pos.alias("key_position")


@pytest.mark.parametrize("dim", [16, 15])
def test_halves_are_those_of_pegasus(dim):
    reference = PegasusSinusoidalPositionalEmbedding(600, dim)
    expected = reference.create_weight().numpy()
    table = sinusoidal_table(Axis("position", 600), Axis("embed", dim))
    assert np.abs(np.asarray(table.array) - expected).max() < 1e-6


def test_halves_are_those_of_ctrl():
    expected = positional_encoding(600, 16, torch.float32).numpy()
    table = sinusoidal_table(Axis("position", 600), Axis("embed", 16))
    # CTRL takes the angles in fp32: an ulp of 600 is 6e-5.
    assert np.abs(np.asarray(table.array) - expected).max() < 1e-4


@pytest.mark.parametrize("dim", [16, 15])
def test_tensor2tensor_is_that_of_xglm(dim):
    expected = XGLMSinusoidalPositionalEmbedding.get_embedding(600, dim).numpy()
    table = sinusoidal_table(Axis("position", 600), Axis("embed", dim), kind="tensor2tensor")
    assert np.abs(np.asarray(table.array) - expected).max() < 1e-6


def _softmax(scores):
    scores = np.where(np.tril(np.ones((Pos.size, Pos.size), bool)), scores, -np.inf)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize("heads", HEADS)
@pytest.mark.parametrize("reference", ["bloom", "mpt"])
def test_alibi_weighs_keys_as_the_references_do(heads, reference):
    if reference == "bloom":
        theirs = build_alibi_tensor(torch.ones(1, Pos.size, dtype=torch.int64), heads, torch.float32)
        theirs = theirs.reshape(heads, Pos.size).numpy()
        their_slopes = theirs[:, 1]  # its bias counts up from the first key
    else:
        theirs = build_mpt_alibi_tensor(heads, Pos.size).reshape(heads, Pos.size).numpy()
        their_slopes = -theirs[:, -2]  # its bias counts down to the last key
    Heads = Axis("heads", heads)
    slopes = alibi_slopes(Heads)
    bias = AlibiBias(slopes, hax.arange(Pos)).materialize()
    scores = np.random.default_rng(heads).normal(size=(heads, Pos.size, Pos.size))

    np.testing.assert_allclose(slopes.array, their_slopes, rtol=1e-6)
    assert bias.axes == (Heads, Pos, KeyPos)
    assert relative_error(_softmax(scores + np.asarray(bias.array)), _softmax(scores + theirs[:, None, :])) < 1e-5


def test_max_bias_is_that_of_mpt():
    reference = build_mpt_alibi_tensor(6, 3, alibi_bias_max=4).reshape(6, 3).numpy()
    slopes = alibi_slopes(Axis("heads", 6), max_bias=4.0)
    np.testing.assert_allclose(slopes.array, -reference[:, 1], rtol=1e-6)


def test_positions_may_have_a_batch_and_heads_may_be_grouped():
    Batch, Groups = Axis("batch", 2), (Axis("kv_head", 3), Axis("q_heads_per_group", 2))
    slopes = alibi_slopes(Axis("heads", 6)).unflatten_axis("heads", Groups)
    starts = hax.named(np.asarray([0, 7]), Batch)
    bias = AlibiBias(slopes, hax.arange(Pos).broadcast_axis(Batch) + starts).materialize()
    bias = bias.rearrange((Batch, *Groups, Pos, KeyPos)).array
    plain = AlibiBias(slopes, hax.arange(Pos)).materialize().rearrange((*Groups, Pos, KeyPos)).array
    np.testing.assert_array_equal(bias[1], plain)  # only distances count


def test_queries_grow_as_those_of_llama4():
    """Of its attention on layers that don't rotate, with keys in which one dimension of a query shows."""
    config = Llama4TextConfig(
        hidden_size=8,
        num_attention_heads=1,
        num_key_value_heads=1,
        head_dim=8,
        num_hidden_layers=1,
        no_rope_layers=[0],
        floor_scale=7,
        attn_scale=0.3,
    )
    config._attn_implementation = "eager"
    attention = Llama4TextAttention(config, 0)
    held = {}
    attention.q_proj.register_forward_hook(lambda module, args, out: held.update(q=out.detach()))

    def interface(module, query, key, value, mask, **kwargs):
        held["grown"] = query.detach()
        return value.transpose(1, 2), None

    with pytest.MonkeyPatch.context() as patch, torch.no_grad():
        patch.setattr(modeling_llama4, "eager_attention_forward", interface)
        attention(torch.randn(1, Pos.size, 8), None, None)
    q = hax.named(held["q"][0].numpy(), (Pos, "head_size"))
    found = tempered_queries(q, hax.arange(Pos), span=7, scale=0.3)
    np.testing.assert_allclose(found.array, held["grown"][0, 0].numpy(), rtol=1e-6)
    np.testing.assert_array_equal(found["position", :6].array, q["position", :6].array)
    assert not np.allclose(found["position", 6].array, q["position", 6].array)


@pytest.mark.parametrize(
    "call",
    [
        lambda: sinusoidal_table(Pos, Axis("embed", 8), kind="xglm"),
        lambda: sinusoidal_table(Pos, Axis("embed", 3), kind="tensor2tensor"),
    ],
)
def test_what_is_unknown_is_refused(call):
    with pytest.raises(LevgenError):
        call()


def test_grown_queries_are_those_of_beam():
    positions = np.stack([np.arange(40), np.arange(40) * 5000])
    q = np.random.default_rng(1).standard_normal((2, 40, 8)).astype(np.float32)
    expected = q * compute_attention_scaling(torch.tensor(positions))[:, 0].numpy()
    axes = (Axis("batch", 2), Pos, Axis("head_size", 8))
    ours = grown_queries(hax.named(q, axes), hax.named(positions, axes[:2]), length=2048.0, exponent=0.1)
    assert ours.axes == axes
    assert relative_error(ours.array, expected) < 1e-6
