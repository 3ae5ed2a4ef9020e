"""Sparse attention: a small attention of its own chooses which of the keys that a query sees count, and no others do.

Source: DeepSeek-V3.2, https://arxiv.org/abs/2512.02556, section 2.1, the lightning indexer; transformers'
modeling_deepseek_v32.py.
"""

import dataclasses
from typing import Any

import haliax as hax
import jax
import jax.numpy as jnp
from haliax import Axis, NamedArray
from haliax.jax_utils import named_call

from levgen.errors import LevgenError
from levgen.runtime.attention import KEY_POSITION, POSITION
from levgen.runtime.mask import AttentionMask
from levgen.runtime.rotary import Layout, Rotary
from levgen.runtime.routing import note_margin


@named_call
def sparse_mask(
    q: NamedArray,
    k: NamedArray,
    weights: NamedArray,
    mask: Any = None,
    *,
    Heads: Axis,
    HeadSize: Axis,
    count: int,
) -> AttentionMask:
    """`mask`, narrowed for each query to the `count` keys with the largest sum over heads of weight * relu(q k^T).

    Of equal keys the first is taken. A query that sees no more than `count` keys goes on seeing all of them. A positive
    factor on all scores would choose the same keys, and there is none. No gradient passes: a choice has none, and what
    `q`, `k` and `weights` are made with is trained by a loss of its own, if at all.

    Args:
        q: {..., position, Heads, HeadSize}, turned.
        k: {..., position, HeadSize}, turned: one key for all heads. A cache holds it.
        weights: {..., position, Heads}.
        mask: what `AttentionMask.of` takes; None is causal.
        count: how many keys of those that `mask` lets a query see.

    Returns:
        A mask of the keys chosen, over {..., position, key_position}, that carries the cache of `mask` on.

    Raises:
        LevgenError: `count` is below 1, or an array lacks one of its axes.
    """
    if count < 1:
        raise LevgenError(f"sparse_mask chooses at least 1 key for a query, not {count}.")
    for name, array, axes in (("q", q, (Heads, HeadSize)), ("k", k, (HeadSize,)), ("weights", weights, (Heads,))):
        missing = [axis for axis in axes if axis not in array.axes]
        if missing:
            raise LevgenError(f"sparse_mask needs {missing} in `{name}`, which has {array.axes}.")
    seen = AttentionMask.of(mask)
    cache = seen.cache
    k = k.rename({POSITION: KEY_POSITION})
    if cache is not None:
        k = _extended(cache, k, HeadSize)
    QPos, KPos = q.resolve_axis(POSITION), k.resolve_axis(KEY_POSITION)
    if KPos.size <= count:
        return seen
    q, k, weights = (jax.lax.stop_gradient(array.astype(jnp.float32)) for array in (q, k, weights))
    scores = hax.maximum(q.dot(k, axis=HeadSize), 0.0)
    scores = weights.dot(scores, axis=Heads)
    others = tuple(axis for axis in scores.axes if axis not in (QPos, KPos))
    visible = dataclasses.replace(seen, cache=None).materialize(QPos, KPos)
    if visible is not None:
        scores = hax.where(visible, scores, -jnp.inf)
    compared = scores.rearrange((*others, QPos, KPos)).array
    note_margin(lambda: NamedArray(_margin(compared, count), (*others, QPos)))
    _, best = jax.lax.top_k(compared, count)
    chosen = jnp.put_along_axis(jnp.zeros(compared.shape, bool), best, True, axis=-1, inplace=False)
    # Where a query sees fewer, others come in that it doesn't see.
    sparse = AttentionMask.explicit(NamedArray(chosen & (compared > -jnp.inf), (*others, QPos, KPos)))
    return dataclasses.replace(sparse, cache=cache)


def turned_first(
    rope: Rotary, x: NamedArray, pos_ids: NamedArray, HeadSize: Axis, Turning: Axis, layout: Layout = "half"
) -> NamedArray:
    """`x` {..., position, HeadSize}, its first `Turning.size` dimensions turned by `rope` as a head of that width is.

    Raises:
        LevgenError: the head has fewer dimensions than are to turn, and what `Rotary` raises.
    """
    if Turning.size > HeadSize.size:
        raise LevgenError(f"{Turning} dimensions are to turn, and a head has {HeadSize}.")
    if Turning.size == HeadSize.size:
        return rope(x, pos_ids, HeadSize, layout)
    first, rest = x[HeadSize.name, : Turning.size], x[HeadSize.name, Turning.size :]
    turned = rope(first, pos_ids, first.resolve_axis(HeadSize.name), layout)
    joined: NamedArray = hax.concatenate(HeadSize.name, [turned, rest])
    return joined


def _margin(scores: jax.Array, count: int) -> jax.Array:
    """[..., key_position] -> [...]: how far the `count` largest are from the next, relative to the largest by value.

    Infinite where there is no next. Scores are sums of terms of both signs: they err by a part of the terms.
    """
    best = jax.lax.top_k(scores, count + 1)[0]
    largest = jnp.abs(scores).max(axis=-1, where=jnp.isfinite(scores), initial=0)
    gap = (best[..., -2] - best[..., -1]) / jnp.where(largest > 0, largest, 1.0)
    return jnp.where(jnp.isfinite(best[..., -1]), gap, jnp.inf)


def _extended(cache: Any, k: NamedArray, HeadSize: Axis) -> NamedArray:
    """{..., key_position, HeadSize}: `k` with what `cache` holds of earlier tokens."""
    KPos = k.resolve_axis(KEY_POSITION)
    batch = [axis for axis in k.axes if axis not in (KPos, HeadSize)]
    kept = cache.extend_chooser(k.rearrange((*batch, KPos, HeadSize)).array)
    return NamedArray(kept, (*batch, KPos.resize(kept.shape[-2]), HeadSize))
