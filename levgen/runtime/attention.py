"""Scaled dot-product attention over named axes: grouped queries, softcap, sinks, bias, any mask."""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from haliax import Axis, NamedArray
from haliax.jax_utils import named_call

from levgen.errors import LevgenError
from levgen.runtime.mask import AttentionMask, aligned
from levgen.runtime.positions import AlibiBias

POSITION, KEY_POSITION = "position", "key_position"

# Scores are fp32 wherever the mask is applied, so these are finite whatever the model's dtype. A row's maximum never
# goes below the floor: in a row that sees nothing every exp(HIDDEN - FLOOR) is 0, and the row gives 0 instead of NaN.
HIDDEN, FLOOR = -1e30, -1e29


@named_call
def dot_product_attention(
    q: NamedArray,
    k: NamedArray,
    v: NamedArray,
    mask: Any = None,
    *,
    HeadSize: Axis,
    scale: float,
    softcap: float | None = None,
    sinks: NamedArray | None = None,
    bias: NamedArray | AlibiBias | None = None,
) -> NamedArray:
    """softmax(softcap(q k^T * scale) + bias, masked) v, with the softmax in fp32 whatever the dtype.

    A query that sees no key gives 0, in values and in gradients.

    Args:
        q: {..., position, head_size}. Axes that `k` lacks, such as q_heads_per_group, belong to queries only:
            nothing is repeated for them.
        k: {..., position, head_size}, over axes of `q`. Its positions may be named key_position.
        v: `k`'s axes with a head size of its own, in name or in size.
        mask: what `AttentionMask.of` takes; None is causal.
        HeadSize: the axis that a query and a key share.
        scale: multiplies the fp32 scores.
        softcap: bounds the scaled scores: softcap * tanh(scores / softcap).
        sinks: {heads...}, a logit per head that takes part in the denominator only (gpt_oss).
        bias: {..., position, key_position}, over axes of `q`, added to the scaled (and capped) scores.

    Returns:
        `q`'s axes, with the value's head size in place of `HeadSize`, in the value's dtype.

    Raises:
        LevgenError: an axis is missing, or an argument has one that the others lack.

    One batched matrix product a step, with the queries of a group laid beneath one another: on a CPU two to three times
    faster than `jax.nn.dot_product_attention`, forward and backward. The division by the denominator comes after the
    product with the values, so that its gradient is taken over the small array instead of the scores.
    """
    QPos = _axis(q, POSITION, "q")
    key_name = KEY_POSITION if any(axis.name == KEY_POSITION for axis in k.axes) else POSITION
    if key_name == POSITION:
        k, v = k.rename({POSITION: KEY_POSITION}), v.rename({POSITION: KEY_POSITION})
    KPos = _axis(k, KEY_POSITION, "k")
    Head = _axis(q, HeadSize.name, "q")

    strange = [axis for axis in k.axes if axis != KPos and axis not in q.axes]
    if strange:
        raise LevgenError(
            f"dot_product_attention takes `k` over axes of `q`, {q.axes}, and {strange} are not among them."
        )
    of_keys = {axis.name for axis in k.axes}
    heads = [axis for axis in q.axes if axis.name not in (POSITION, HeadSize.name)]
    shared = [axis for axis in heads if axis.name in of_keys]
    queries_only = [axis for axis in heads if axis.name not in of_keys]
    shared_names = {axis.name for axis in shared}
    values = [axis for axis in v.axes if axis.name not in shared_names and axis.name != KEY_POSITION]
    if len(values) != 1:
        raise LevgenError(
            f"The values must have the keys' axes and one of their own, the head size: k has {k.axes}, v has {v.axes}."
        )
    [Value] = values

    batch = [axis.size for axis in shared]
    dims = tuple(range(len(shared)))
    rows = [*(axis.size for axis in queries_only), QPos.size]
    query = _ordered(q, (*shared, *queries_only, QPos, Head), "q").reshape(*batch, math.prod(rows), Head.size)
    key = _ordered(k, (*shared, KPos, Head), "k")
    value = _ordered(v, (*shared, KPos, Value), "v")

    attention_mask = AttentionMask.of(mask)
    if attention_mask.cache is not None:
        key, value = attention_mask.cache.extend(key, value)
        KPos = KPos.resize(key.shape[-2])
    last = len(shared) + 1
    scores = jax.lax.dot_general(
        query, key, (((last,), (last,)), (dims, dims)), preferred_element_type=jnp.float32
    ).reshape(*batch, *rows, KPos.size)
    score_axes = (*shared, *queries_only, QPos, KPos)

    scores = scores * scale
    if softcap is not None:
        scores = softcap * jnp.tanh(scores / softcap)
    if isinstance(bias, AlibiBias):
        bias = bias.materialize(None if attention_mask.cache is None else attention_mask.cache.positions)
    if bias is not None:
        scores = scores + _aligned(bias, score_axes, "bias").astype(jnp.float32)
    visible = attention_mask.materialize(QPos, KPos)
    if visible is not None:
        scores = jnp.where(_aligned(visible, score_axes, "mask"), scores, HIDDEN)

    largest = jnp.maximum(scores.max(axis=-1, keepdims=True), FLOOR)
    sink = None if sinks is None else _aligned(sinks, score_axes, "sinks").astype(jnp.float32)
    if sink is not None:
        largest = jnp.maximum(largest, sink)
    largest = jax.lax.stop_gradient(largest)
    weights = jnp.exp(scores - largest)
    total = weights.sum(axis=-1, keepdims=True)
    if sink is not None:
        total = total + jnp.exp(sink - largest)
    total = jnp.where(total > 0, total, 1.0)

    attended = jax.lax.dot_general(
        weights.astype(v.dtype).reshape(*batch, math.prod(rows), KPos.size),
        value,
        (((last,), (last - 1,)), (dims, dims)),
        preferred_element_type=jnp.float32,
    ).reshape(*batch, *rows, Value.size)
    out = NamedArray((attended / total).astype(v.dtype), (*shared, *queries_only, QPos, Value))
    return out.rearrange([Value if axis.name == HeadSize.name else axis for axis in q.axes])


def _axis(array: NamedArray, name: str, argument: str) -> Axis:
    for axis in array.axes:
        if axis.name == name:
            return axis
    raise LevgenError(f"dot_product_attention needs an axis '{name}' in `{argument}`, which has {array.axes}.")


def _ordered(array: NamedArray, axes: Sequence[Axis], argument: str) -> jax.Array:
    """The plain array with exactly these axes, in this order."""
    if set(array.axes) != set(axes):
        raise LevgenError(f"dot_product_attention expected `{argument}` over {tuple(axes)}, and it has {array.axes}.")
    return array.rearrange(tuple(axes)).array


def _aligned(array: NamedArray, axes: Sequence[Axis], argument: str) -> jax.Array:
    """The plain array laid out to broadcast against `axes`: 1 where it has no such axis."""
    if not set(array.axes) <= set(axes):
        raise LevgenError(f"dot_product_attention takes `{argument}` over axes of {tuple(axes)}, not {array.axes}.")
    return aligned(array, axes)
