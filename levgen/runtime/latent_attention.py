"""Multi-head latent attention: keys and values of all heads are made from one vector of low rank a token.

Source: DeepSeek-V2, https://arxiv.org/abs/2405.04434, section 2.1, which absorbs maps up into those beside them.
"""

import dataclasses
from typing import Any

import haliax as hax
from haliax import Axis, NamedArray
from haliax.jax_utils import named_call

from levgen.errors import LevgenError
from levgen.runtime.attention import KEY_POSITION, POSITION, dot_product_attention
from levgen.runtime.checkpoints.names import axes_of
from levgen.runtime.mask import AttentionMask
from levgen.runtime.projections import Linear, split_axis


@named_call
def latent_attention(
    q_nope: NamedArray,
    q_rope: NamedArray,
    latent: NamedArray,
    k_rope: NamedArray,
    up: Linear,
    mask: Any = None,
    *,
    VHeadSize: Axis,
    scale: float,
) -> NamedArray:
    """softmax((q_nope k_nope^T + q_rope k_rope^T) * scale, masked) v, where `up` makes k_nope and v from `latent`.

    A cache holds `latent` and `k_rope`, which all heads share. Over earlier tokens from a cache, attention runs in the
    absorbed form: `up` moves over to the queries and to what is attended, so that no key or value is made of them.
    It is the same function, and rounds differently.

    Args:
        q_nope: {..., position, heads, nope_head_size}, the part of the queries that has no position.
        q_rope: {..., position, heads, rope_head_size}, turned.
        latent: {..., position, kv_latent}, normed.
        k_rope: {..., position, rope_head_size}, turned.
        up: kv_latent -> (heads, kv_up), without a bias; for each head the key's part without position, then the value.
        mask: what `AttentionMask.of` takes; None is causal.
        VHeadSize: the axis of a head's values.
        scale: multiplies the fp32 scores.

    Returns:
        {..., position, heads, VHeadSize}, in the dtype of `latent`.

    Raises:
        LevgenError: `up` has a bias, or gives something else than keys and values of these heads.
    """
    Nope, Rope = _own(q_nope, q_rope), _own(q_rope, q_nope)
    [Latent] = axes_of(up.In)
    Up = _checked(up, q_nope, Nope, VHeadSize)
    seen = AttentionMask.of(mask)
    cache, seen = seen.cache, dataclasses.replace(seen, cache=None)
    latent, k_rope = (x.rename({POSITION: KEY_POSITION}) for x in (latent, k_rope))
    if cache is not None:
        latent, k_rope = _extended(cache, latent, k_rope, Latent, Rope)

    if cache is not None and cache.holds_earlier:
        to_key, to_value = split_axis(up.weight, Up, [Nope], [VHeadSize])
        q = _joined(q_nope.dot(to_key, axis=Nope), Latent, q_rope, Rope)
        k = _joined(latent, Latent, k_rope, Rope)
        Joined = k.resolve_axis(_JOINED)
        attended = dot_product_attention(q, k, latent, seen, HeadSize=Joined, scale=scale)
        out: NamedArray = attended.dot(to_value, axis=Latent)
        return out.rearrange([VHeadSize if axis == Nope else axis for axis in q_nope.axes])

    k_nope, v = split_axis(up(latent), Up, [Nope], [VHeadSize])
    q = _joined(q_nope, Nope, q_rope, Rope)
    heads = tuple(axis for axis in k_nope.axes if axis not in (*k_rope.axes, Nope))
    k = _joined(k_nope, Nope, k_rope.broadcast_axis(heads), Rope)
    return dot_product_attention(q, k, v, seen, HeadSize=k.resolve_axis(_JOINED), scale=scale)


_JOINED = "head_size"


def _joined(first: NamedArray, First: Axis, second: NamedArray, Second: Axis) -> NamedArray:
    """{..., head_size}: the two parts of a head one after the other."""
    parts = [first.rename({First.name: _JOINED}), second.rename({Second.name: _JOINED})]
    joined: NamedArray = hax.concatenate(_JOINED, parts)
    return joined


def _extended(
    cache: Any, latent: NamedArray, k_rope: NamedArray, Latent: Axis, Rope: Axis
) -> tuple[NamedArray, NamedArray]:
    """The two with what `cache` holds of earlier tokens."""
    KPos = latent.resolve_axis(KEY_POSITION)
    batch = [axis for axis in latent.axes if axis not in (KPos, Latent)]
    kept = cache.extend(latent.rearrange((*batch, KPos, Latent)).array, k_rope.rearrange((*batch, KPos, Rope)).array)
    KPos = KPos.resize(kept[0].shape[-2])
    return NamedArray(kept[0], (*batch, KPos, Latent)), NamedArray(kept[1], (*batch, KPos, Rope))


def _own(array: NamedArray, other: NamedArray) -> Axis:
    """The one axis of `array` that `other` lacks."""
    own = [axis for axis in array.axes if axis not in other.axes]
    if len(own) != 1:
        raise LevgenError(
            f"latent_attention takes queries in two parts that differ in one axis, not {array.axes} and {other.axes}."
        )
    return own[0]


def _checked(up: Linear, q_nope: NamedArray, Nope: Axis, VHeadSize: Axis) -> Axis:
    """The axis of `up` that holds a head's key and value."""
    out = axes_of(up.Out)
    own = [axis for axis in out if axis not in q_nope.axes]
    if len(own) != 1 or own[0].size != Nope.size + VHeadSize.size or up.bias is not None:
        raise LevgenError(
            f"latent_attention needs a map without a bias to {Nope.size} + {VHeadSize.size} numbers for each head of "
            f"the queries, {q_nope.axes}; this one goes to {out}{'' if up.bias is None else ' with a bias'}."
        )
    return own[0]
