"""Latent attention in both of its forms: by the letter, with a cache, and what it refuses."""

import dataclasses

import haliax as hax
import jax
import jax.numpy as jnp
import jax.random as jrandom
import numpy as np
import pytest
from haliax import Axis
from numeric import normal, relative_error

from levgen.errors import LevgenError
from levgen.runtime import AttentionMask, Linear, latent_attention
from levgen.runtime.generation.kv_cache import LayerCache

Batch, Pos, Heads = Axis("batch", 2), Axis("position", 11), Axis("heads", 3)
Nope, Rope, VHeadSize, Latent = (
    Axis("nope_head_size", 6),
    Axis("rope_head_size", 4),
    Axis("v_head_size", 8),
    Axis("kv_latent", 9),
)
Up = Axis("kv_up", Nope.size + VHeadSize.size)
SCALE = 0.31
CAUSAL = np.tril(np.ones((Pos.size, Pos.size), dtype=bool))


def inputs():
    """The two parts of queries, the latent, the shared key's turned part, and the map up."""
    up = Linear.init(Latent, (Heads, Up), key=jrandom.PRNGKey(4), std=0.5, use_bias=False)
    q_nope, q_rope = normal(0, Batch, Pos, Heads, Nope), normal(1, Batch, Heads, Pos, Rope)
    return q_nope, q_rope, normal(2, Batch, Pos, Latent), normal(3, Pos, Batch, Rope), up


def oracle(q_nope, q_rope, latent, k_rope, up, visible):
    """In numpy's fp64, by the letter: {batch, position, heads, v_head_size}."""

    def plain(array, *axes):
        return np.asarray(array.rearrange(axes).array, np.float64)

    expanded = np.einsum("bsl,hul->bshu", plain(latent, Batch, Pos, Latent), plain(up.weight, Heads, Up, Latent))
    k_nope, v = expanded[..., : Nope.size], expanded[..., Nope.size :]
    scores = np.einsum("bthn,bshn->bhts", plain(q_nope, Batch, Pos, Heads, Nope), k_nope)
    scores += np.einsum("bthr,bsr->bhts", plain(q_rope, Batch, Pos, Heads, Rope), plain(k_rope, Batch, Pos, Rope))
    scores = np.where(visible, scores * SCALE, -np.inf)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return np.einsum("bhts,bshv->bthv", weights / weights.sum(axis=-1, keepdims=True), v)


def attend(q_nope, q_rope, latent, k_rope, up, mask=None):
    out = latent_attention(q_nope, q_rope, latent, k_rope, up, mask, VHeadSize=VHeadSize, scale=SCALE)
    return out.rearrange((Batch, q_nope.resolve_axis("position"), Heads, VHeadSize))


@pytest.mark.parametrize(
    ("mask", "visible"),
    [
        (None, CAUSAL),
        (AttentionMask.causal(sliding_window=3), CAUSAL & ~np.tril(CAUSAL, -3)),
        (AttentionMask(), np.ones_like(CAUSAL)),
    ],
    ids=["causal", "window", "everything"],
)
def test_equals_attention_by_the_letter(mask, visible):
    given = inputs()
    assert relative_error(attend(*given, mask), oracle(*given, visible)) < 1e-6


def test_output_has_the_axes_and_the_dtype_of_what_comes_in():
    q_nope, q_rope, latent, k_rope, up = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), inputs())
    out = latent_attention(q_nope, q_rope, latent, k_rope, up, VHeadSize=VHeadSize, scale=SCALE)
    assert out.axes == (Batch, Pos, Heads, VHeadSize)
    assert out.dtype == jnp.bfloat16


def test_gradients_reach_everything_that_comes_in():
    gradients = jax.grad(lambda given: hax.sum(attend(*given) ** 2).scalar())(inputs())
    assert all(float(jnp.abs(leaf).max()) > 0 for leaf in jax.tree.leaves(gradients))


def step(given, first, last, before, capacity=16):
    """Attention of the tokens `first` to `last` over a cache with the earlier ones, and what the cache holds then."""
    q_nope, q_rope, latent, k_rope, up = given
    tokens = [array["position", first:last] for array in (q_nope, q_rope, latent, k_rope)]
    positions = hax.arange(Axis("key_position", capacity))
    cache = LayerCache(capacity, before, first, positions)
    mask = dataclasses.replace(AttentionMask.causal(offset=hax.named(jnp.asarray(first), ())), cache=cache)
    return attend(*tokens, up, mask), cache.kept


@pytest.mark.parametrize("new", [1, 3])
def test_with_a_cache_it_gives_what_the_whole_sequence_gives(new):
    given = inputs()
    expected = oracle(*given, CAUSAL)
    found, kept = step(given, 0, 5, None)
    assert relative_error(found, expected[:, :5]) < 1e-6
    for first in range(5, Pos.size - new + 1, new):
        found, kept = step(given, first, first + new, kept)
        assert relative_error(found, expected[:, first : first + new]) < 1e-6


def test_cache_holds_the_latent_and_the_turned_key_alone():
    _, kept = step(inputs(), 0, 5, None, capacity=16)
    assert [array.shape for array in kept] == [(2, 16, Latent.size), (2, 16, Rope.size)]


def test_absorbed_form_expands_no_key_and_no_value_of_the_cache():
    """No array of the step over a cache has both the cached positions and the axis that `up` leads to."""
    given = inputs()
    _, kept = step(given, 0, 5, None, capacity=16)
    shapes = {
        var.aval.shape
        for equation in jax.make_jaxpr(lambda given, kept: step(given, 5, 6, kept)[0].array)(given, kept).eqns
        for inner in [equation, *getattr(equation.params.get("jaxpr"), "eqns", [])]
        for var in inner.outvars
    }
    assert any(16 in shape for shape in shapes)
    assert not any({16, Up.size} <= set(shape) or {16, Nope.size} <= set(shape) for shape in shapes)


@pytest.mark.parametrize(
    ("up", "message"),
    [
        (lambda: Linear.init(Latent, (Heads, Up), key=jrandom.PRNGKey(0), std=1.0, use_bias=True), "with a bias"),
        (
            lambda: Linear.init(Latent, (Heads, Up.resize(9)), key=jrandom.PRNGKey(0), std=1.0, use_bias=False),
            r"6 \+ 8 numbers",
        ),
        (lambda: Linear.init(Latent, Heads, key=jrandom.PRNGKey(0), std=1.0, use_bias=False), "for each head"),
    ],
    ids=["bias", "size", "no axis"],
)
def test_a_map_that_makes_something_else_is_refused(up, message):
    *queries_and_latent, _ = inputs()
    with pytest.raises(LevgenError, match=message):
        attend(*queries_and_latent, up())


def test_queries_that_are_not_two_parts_are_refused():
    q_nope, _, latent, k_rope, up = inputs()
    with pytest.raises(LevgenError, match="two parts"):
        attend(q_nope, q_nope, latent, k_rope, up)
