import functools
import math
import types

import equinox as eqx
import haliax as hax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("torch", reason="the reference is in torch")
import torch
from haliax import Axis
from numeric import normal, relative_error
from transformers.models.gpt_oss.modeling_gpt_oss import eager_attention_forward

from levgen.errors import LevgenError
from levgen.runtime.attention import dot_product_attention
from levgen.runtime.mask import AttentionMask
from levgen.runtime.positions import AlibiBias, alibi_slopes

Batch, Pos = Axis("batch", 2), Axis("position", 11)
KeyPos = Pos.alias("key_position")
HeadSize = Axis("head_size", 8)
SCALE = 0.31


def grouped(kv_heads, heads=6):
    return Axis("kv_head", kv_heads), Axis("q_heads_per_group", heads // kv_heads)


def inputs(kv_heads, value_size=8):
    """q, k and v, and the axes of heads; q's axes are in an order of their own."""
    KVHeads, Groups = grouped(kv_heads)
    q = normal(0, Batch, KVHeads, Pos, Groups, HeadSize)
    k = normal(1, Batch, Pos, KVHeads, HeadSize)
    v = normal(2, KVHeads, Batch, Pos, HeadSize.resize(value_size))
    return q, k, v, KVHeads, Groups


def oracle(q, k, v, *, visible, scale=SCALE, softcap=None, sinks=None, bias=None):
    """In numpy's fp64, by the letter. [batch, kv, group, position, value]; a row that sees nothing is 0."""
    names = ("batch", "kv_head", "q_heads_per_group", "position", "head_size")
    q = np.asarray(q.rearrange(names).array, np.float64)
    k = np.asarray(k.rearrange(("batch", "kv_head", "position", "head_size")).array, np.float64)
    v = np.asarray(v.rearrange(("batch", "kv_head", "position", "head_size")).array, np.float64)
    scores = np.einsum("bkgtd,bksd->bkgts", q, k) * scale
    if softcap is not None:
        scores = softcap * np.tanh(scores / softcap)
    if bias is not None:
        scores = scores + bias
    scores = np.where(visible, scores, -np.inf)
    largest = scores.max(axis=-1, keepdims=True)
    if sinks is not None:
        largest = np.maximum(largest, sinks[:, :, None, None])
    largest = np.where(np.isfinite(largest), largest, 0.0)
    weights = np.exp(scores - largest)
    total = weights.sum(axis=-1, keepdims=True)
    if sinks is not None:
        total = total + np.exp(sinks[:, :, None, None] - largest)
    return np.einsum("bkgts,bksd->bkgtd", weights / np.where(total > 0, total, 1.0), v)


def ordered(out):
    return out.rearrange(("batch", "kv_head", "q_heads_per_group", "position", "head_size")).array


QUERY, KEY = np.arange(11)[:, None], np.arange(11)[None, :]
SEGMENTS = hax.named(np.array([[0] * 4 + [1] * 7, [0] * 9 + [1] * 2]), (Batch, Pos))
SAME = (np.asarray(SEGMENTS.array)[:, :, None] == np.asarray(SEGMENTS.array)[:, None, :])[:, None, None]
RANDOM = (np.random.default_rng(3).random((11, 11)) < 0.5) | (QUERY == KEY)
MASKS = {
    "none": (None, QUERY >= KEY),
    "everything": (AttentionMask(), np.ones((11, 11), bool)),
    "window": (AttentionMask.causal(sliding_window=4), (QUERY >= KEY) & (QUERY - 4 < KEY)),
    "segments": (AttentionMask.causal().with_segment_ids(SEGMENTS), (QUERY >= KEY) & SAME),
    "explicit": (hax.named(jnp.asarray(RANDOM), (Pos, KeyPos)), RANDOM),
}


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("kv_heads", [1, 2, 6])
def test_values_are_the_oracles(kv_heads, mask):
    q, k, v, *_ = inputs(kv_heads)
    given, visible = MASKS[mask]
    found = dot_product_attention(q, k, v, given, HeadSize=HeadSize, scale=SCALE)
    assert found.axes == q.axes
    assert relative_error(ordered(found), oracle(q, k, v, visible=visible)) < 1e-6


@pytest.mark.parametrize("kv_heads", [1, 2, 6])
def test_values_and_gradients_are_those_of_torch(kv_heads):
    q, k, v, *_ = inputs(kv_heads)
    probe = normal(5, *q.axes)

    def ours(q, k, v):
        found = dot_product_attention(q, k, v, HeadSize=HeadSize, scale=SCALE)
        return hax.sum(found * probe).scalar(), found

    gradients, found = jax.jit(jax.grad(ours, argnums=(0, 1, 2), has_aux=True))(q, k, v)

    names = ("batch", "kv_head", "position", "head_size")
    q_torch = torch.tensor(np.asarray(ordered(q))).flatten(1, 2).requires_grad_()
    k_torch, v_torch = (torch.tensor(np.asarray(x.rearrange(names).array)).requires_grad_() for x in (k, v))
    expected = torch.nn.functional.scaled_dot_product_attention(
        q_torch, k_torch, v_torch, is_causal=True, scale=SCALE, enable_gqa=True
    )
    probe_torch = torch.tensor(np.asarray(ordered(probe))).flatten(1, 2)
    of_q, of_k, of_v = torch.autograd.grad((expected * probe_torch).sum(), (q_torch, k_torch, v_torch))

    assert relative_error(ordered(found).reshape(expected.shape), expected.detach()) < 1e-6
    assert relative_error(ordered(gradients[0]).reshape(of_q.shape), of_q) < 1e-5
    assert relative_error(gradients[1].rearrange(names), of_k) < 1e-5
    assert relative_error(gradients[2].rearrange(names), of_v) < 1e-5


def test_softcap_bias_and_a_value_of_another_size():
    q, k, v, KVHeads, Groups = inputs(2, value_size=5)
    slopes = alibi_slopes(Axis("heads", 6)).unflatten_axis("heads", (KVHeads, Groups))
    bias = AlibiBias(slopes, hax.arange(Pos)).materialize()
    found = dot_product_attention(q, k, v, HeadSize=HeadSize, scale=2.0, softcap=1.5, bias=bias)
    raw = np.asarray(bias.rearrange((KVHeads, Groups, Pos, KeyPos)).array, np.float64)
    expected = oracle(q, k, v, visible=QUERY >= KEY, scale=2.0, softcap=1.5, bias=raw)
    assert found.axes == (*q.axes[:-1], HeadSize.resize(5))
    assert relative_error(ordered(found), expected) < 1e-6


def test_a_value_axis_of_another_name():
    q, k, v, *_ = inputs(2)
    renamed = dot_product_attention(q, k, v.rename({"head_size": "v_head_size"}), HeadSize=HeadSize, scale=SCALE)
    assert renamed.axes[-1] == Axis("v_head_size", 8)
    plain = dot_product_attention(q, k, v, HeadSize=HeadSize, scale=SCALE)
    np.testing.assert_array_equal(renamed.array, plain.array)


@pytest.mark.parametrize("mask", ["none", "window"])
def test_sinks_are_those_of_gpt_oss(mask):
    q, k, v, KVHeads, Groups = inputs(2)
    sinks = normal(7, KVHeads, Groups, std=2.0)
    given, visible = MASKS[mask]

    module = types.SimpleNamespace(
        num_key_value_groups=3, training=False, sinks=torch.tensor(np.asarray(sinks.array)).flatten().requires_grad_()
    )
    names = ("batch", "kv_head", "position", "head_size")
    k_torch, v_torch = (torch.tensor(np.asarray(x.rearrange(names).array)) for x in (k, v))
    additive = torch.where(torch.tensor(visible), 0.0, torch.finfo(torch.float32).min)[None, None]
    q_torch = torch.tensor(np.asarray(ordered(q))).flatten(1, 2)
    expected, _ = eager_attention_forward(module, q_torch, k_torch, v_torch, additive, SCALE)
    expected = expected.transpose(1, 2)  # [batch, heads, position, head_size]
    probe = normal(8, *q.axes)
    probe_torch = torch.tensor(np.asarray(ordered(probe))).flatten(1, 2)
    (of_sinks,) = torch.autograd.grad((expected * probe_torch).sum(), module.sinks)

    def ours(sinks):
        found = dot_product_attention(q, k, v, given, HeadSize=HeadSize, scale=SCALE, sinks=sinks)
        return hax.sum(found * probe).scalar(), found

    gradient, found = jax.grad(ours, has_aux=True)(sinks)
    assert relative_error(ordered(found).reshape(expected.shape), expected.detach()) < 1e-6
    assert relative_error(gradient.array.reshape(-1), of_sinks) < 1e-5


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("with_sinks", [False, True])
def test_a_row_that_sees_nothing_is_zero_with_finite_gradients(dtype, with_sinks):
    q, k, v, KVHeads, Groups = inputs(2)
    q, k, v = (x.astype(dtype) for x in (q, k, v))
    sinks = normal(7, KVHeads, Groups) if with_sinks else None
    visible = hax.named(jnp.asarray((QUERY >= KEY) & (QUERY != 4)), (Pos, KeyPos))

    def total(q, k, v):
        found = dot_product_attention(q, k, v, visible, HeadSize=HeadSize, scale=SCALE, sinks=sinks)
        return hax.sum(found.astype(jnp.float32) ** 2).scalar(), found

    gradients, found = jax.grad(total, argnums=(0, 1, 2), has_aux=True)(q, k, v)
    assert found.dtype == jnp.dtype(dtype)
    assert not np.asarray(found["position", 4].array).any()
    assert np.asarray(found["position", 5].array).any()
    for gradient in gradients:
        assert np.isfinite(np.asarray(gradient.array, np.float32)).all()
        assert np.asarray(gradient.array, np.float32).any()
    assert not np.asarray(gradients[0]["position", 4].array, np.float32).any()


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_has_an_fp32_softmax(dtype):
    q, k, v, *_ = inputs(2)
    # Scores up to about 30: a softmax in bf16 would be off by tens of percent.
    q, k, v = (x.astype(dtype) for x in (q * 4.0, k * 4.0, v))
    found = dot_product_attention(q, k, v, HeadSize=HeadSize, scale=SCALE)
    exact = oracle(*(x.astype(jnp.float32) for x in (q, k, v)), visible=QUERY >= KEY)
    assert relative_error(ordered(found), exact) < 2**-7


def test_nothing_is_as_large_as_keys_repeated_for_queries():
    KVHeads, Groups = Axis("kv_head", 2), Axis("q_heads_per_group", 16)
    T, D = Axis("position", 4), Axis("head_size", 512)
    q, k = normal(0, T, KVHeads, Groups, D), normal(1, T, KVHeads, D)
    jaxpr = jax.make_jaxpr(lambda q, k: dot_product_attention(q, k, k, HeadSize=D, scale=1.0).array)(q, k).jaxpr
    repeated = [
        equation
        for equation in jaxpr.eqns
        if equation.primitive.name in ("broadcast_in_dim", "concatenate", "gather")
        and any(math.prod(out.aval.shape) >= q.array.size for out in equation.outvars)
    ]
    assert repeated == []


def test_jit_vmap_and_no_batch_give_the_same():
    q, k, v, *_ = inputs(2)
    attend = functools.partial(dot_product_attention, HeadSize=HeadSize, scale=SCALE)
    expected = attend(q, k, v)
    np.testing.assert_allclose(hax.named_jit(attend)(q, k, v).array, expected.array, atol=1e-6)
    mapped = hax.vmap(attend, Batch)(q, k, v)
    np.testing.assert_allclose(mapped.rearrange(expected.axes).array, expected.array, atol=1e-6)
    alone = attend(*(x["batch", 1] for x in (q, k, v)))
    np.testing.assert_allclose(alone.array, expected["batch", 1].array, atol=1e-6)


def test_a_window_a_layer_under_scan():
    q, k, v, *_ = inputs(2)
    Layers = Axis("layer", 3)
    windows = hax.named(jnp.asarray([2, 5, 1000]), Layers)

    @eqx.filter_jit
    def run(mask):
        def layer(carry, window):
            narrowed = mask.with_sliding_window(window)
            return carry, dot_product_attention(q, k, v, narrowed, HeadSize=HeadSize, scale=SCALE)

        return hax.scan(layer, Layers)(jnp.zeros(()), windows)[1]

    found = run(AttentionMask.causal())
    for index, window in enumerate((2, 5, 1000)):
        expected = oracle(q, k, v, visible=(QUERY >= KEY) & (QUERY - window < KEY))
        assert relative_error(ordered(found["layer", index]), expected) < 1e-6


def test_more_keys_than_queries():
    q, k, v, *_ = inputs(2)
    last = q["position", hax.dslice(8, 3)]
    k, v = (x.rename({"position": "key_position"}) for x in (k, v))
    found = dot_product_attention(last, k, v, AttentionMask.causal(offset=8), HeadSize=HeadSize, scale=SCALE)
    whole = dot_product_attention(q, k, v, HeadSize=HeadSize, scale=SCALE)
    np.testing.assert_allclose(found.array, whole["position", hax.dslice(8, 3)].array, atol=1e-6)


def test_wrong_axes_are_named():
    q, k, v, *_ = inputs(2)
    attend = functools.partial(dot_product_attention, HeadSize=HeadSize, scale=SCALE)
    with pytest.raises(LevgenError, match="'position' in `q`"):
        attend(q.rename({"position": "time"}), k, v)
    with pytest.raises(LevgenError, match="`k`"):
        attend(q, k.rename({"kv_head": "heads"}), v.rename({"kv_head": "heads"}))
    with pytest.raises(LevgenError, match="head size"):
        attend(q, k, v["batch", 0].rename({"kv_head": "heads"}))
    with pytest.raises(LevgenError, match="`sinks`"):
        attend(q, k, v, sinks=hax.zeros(Axis("heads", 6)))
