"""Sparse attention: a small attention of its own chooses which of the keys that a query sees count, and no others do.

Source: DeepSeek-V3.2, https://arxiv.org/abs/2512.02556, section 2.1, the lightning indexer; transformers'
modeling_deepseek_v32.py.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import haliax as hax
import jax
import jax.numpy as jnp
from haliax import Axis, NamedArray
from haliax.jax_utils import named_call

from levgen.errors import LevgenError
from levgen.runtime.attention import KEY_POSITION, POSITION
from levgen.runtime.layers import kinds_of_layers
from levgen.runtime.mask import AttentionMask
from levgen.runtime.rotary import Layout, Rotary
from levgen.runtime.routing import note_margin


@named_call
def chosen_keys(
    q: NamedArray,
    k: NamedArray,
    weights: NamedArray,
    mask: Any = None,
    *,
    Heads: Axis,
    HeadSize: Axis,
    Chosen: Axis,
) -> NamedArray:
    """The keys that each query sees: those with the largest sum over heads of weight * relu(q k^T).

    Of equal keys the first is taken. A query that sees fewer keys than are chosen is given others, too, that it doesn't
    see. A positive factor on all scores would choose the same keys, and there is none. No gradient passes: a choice has
    none, and what `q`, `k` and `weights` are made with is trained by a loss of its own, if at all.

    Args:
        q: {..., position, Heads, HeadSize}, turned.
        k: {..., position, HeadSize}, turned: one key for all heads. A cache holds it.
        weights: {..., position, Heads}.
        mask: what `AttentionMask.of` takes; None is causal.
        Chosen: how many keys of those that `mask` lets a query see.

    Returns:
        {..., position, Chosen} int: the keys' places among all keys. Of fewer keys than `Chosen` holds, all, and
        then the first again.

    Raises:
        LevgenError: `Chosen` holds none, or an array lacks one of its axes.
    """
    if Chosen.size < 1:
        raise LevgenError(f"an indexer chooses at least 1 key for a query, not {Chosen.size}.")
    for name, array, axes in (("q", q, (Heads, HeadSize)), ("k", k, (HeadSize,)), ("weights", weights, (Heads,))):
        missing = [axis for axis in axes if axis not in array.axes]
        if missing:
            raise LevgenError(f"chosen_keys needs {missing} in `{name}`, which has {array.axes}.")
    seen = AttentionMask.of(mask)
    k = k.rename({POSITION: KEY_POSITION})
    if seen.cache is not None:
        k = _extended(seen.cache, k, HeadSize)
    QPos, KPos = q.resolve_axis(POSITION), k.resolve_axis(KEY_POSITION)
    if KPos.size <= Chosen.size:
        return _all_keys(q, KPos, Chosen, without=(Heads, HeadSize))
    q, k, weights = (jax.lax.stop_gradient(array.astype(jnp.float32)) for array in (q, k, weights))
    scores = hax.maximum(q.dot(k, axis=HeadSize), 0.0)
    scores = weights.dot(scores, axis=Heads)
    visible = dataclasses.replace(seen, cache=None).materialize(QPos, KPos)
    if visible is not None:
        scores = hax.where(visible, scores, -jnp.inf)
    others = tuple(axis for axis in scores.axes if axis not in (QPos, KPos))
    compared = scores.rearrange((*others, QPos, KPos)).array
    note_margin(lambda: NamedArray(_margin(compared, Chosen.size), (*others, QPos)))
    _, best = jax.lax.top_k(compared, Chosen.size)
    return NamedArray(best, (*others, QPos, Chosen))


@named_call
def with_chosen_keys(mask: Any, chosen: NamedArray, Chosen: Axis) -> AttentionMask:
    """`mask`, narrowed for each query to the keys that were chosen for it; it carries the cache of `mask` on.

    Args:
        mask: what `AttentionMask.of` takes; None is causal.
        chosen: {..., position, Chosen} int, as `chosen_keys` gives them: in this layer, or in one before it.
    """
    seen = AttentionMask.of(mask)
    QPos = chosen.resolve_axis(POSITION)
    KPos = QPos.alias(KEY_POSITION) if seen.cache is None else seen.cache.positions.resolve_axis(KEY_POSITION)
    if KPos.size <= Chosen.size:
        return seen
    others = tuple(axis for axis in chosen.axes if axis not in (QPos, Chosen))
    places = chosen.rearrange((*others, QPos, Chosen)).array
    empty = jnp.zeros((*places.shape[:-1], KPos.size), bool)
    narrow = NamedArray(jnp.put_along_axis(empty, places, True, axis=-1, inplace=False), (*others, QPos, KPos))
    # Where a query sees fewer, others were chosen that it doesn't see.
    visible = dataclasses.replace(seen, cache=None).materialize(QPos, KPos)
    sparse = AttentionMask.explicit(narrow if visible is None else narrow & visible)
    return dataclasses.replace(sparse, cache=seen.cache)


def no_chosen_keys(x: NamedArray, Embed: Axis, Chosen: Axis) -> NamedArray:
    """{..., position, Chosen} int: what layers are given before any of them has chosen keys. The first one has to.

    `x`: {..., position, Embed}.
    """
    axes = tuple(axis for axis in x.axes if axis != Embed)
    nothing: NamedArray = hax.zeros((*axes, Chosen), dtype=jnp.int32)
    return nothing


def indexers_by_layer(Layers: Axis, types: Sequence[str]) -> tuple[str, ...]:
    """Of each layer: "full" where it has an indexer, "shared" where it sees the keys that were chosen before it.

    Raises:
        LevgenError: there is another word, there are more or fewer than layers, or the first layer has no indexer.
    """
    kinds = kinds_of_layers(Layers, types, {"full": "full", "shared": "shared"})
    if kinds[:1] == ("shared",):
        raise LevgenError("the first layer is given no choice of keys to share: its entry of indexer_types is 'full'.")
    return kinds


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


def _all_keys(q: NamedArray, KPos: Axis, Chosen: Axis, *, without: tuple[Axis, ...]) -> NamedArray:
    """{..., position, Chosen} int: all keys for each query, and then the first again."""
    axes = tuple(axis for axis in q.axes if axis not in without)
    every = jnp.pad(jnp.arange(KPos.size, dtype=jnp.int32), (0, Chosen.size - KPos.size))
    places: NamedArray = hax.named(every, Chosen).broadcast_to((*axes, Chosen))
    return places


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
