"""Positions that don't turn: sinusoidal tables, ALiBi's slopes and bias, and queries that grow.

Learned positions need nothing from here: they are an embedding over the positions.
"""

import math
from typing import Literal, cast

import equinox as eqx
import haliax as hax
import jax.numpy as jnp
import numpy as np
from haliax import Axis, NamedArray

from levgen.errors import LevgenError

SinusoidalKind = Literal["halves", "tensor2tensor"]
_Slopes = np.ndarray[tuple[int], np.dtype[np.float64]]


def sinusoidal_table(Pos: Axis, Embed: Axis, *, kind: SinusoidalKind = "halves", theta: float = 10000.0) -> NamedArray:
    """{Pos, Embed} fp32: sines in the first half of the dimensions, cosines in the second.

    Args:
        Pos: as many positions as the table has; a reference whose table starts at an offset slices it.
        kind: "halves" spaces the exponents by 2 / embed (Marian, Pegasus, CTRL); "tensor2tensor" spaces them by
            1 / (embed / 2 - 1) (XGLM, M2M100, Speech2Text) and pads an odd dimension with zeros.

    Raises:
        LevgenError: an unknown kind, or too few dimensions for it.

    Source: https://arxiv.org/abs/1706.03762; transformers' modeling_pegasus.py and modeling_xglm.py.
    """
    positions, dim = np.arange(Pos.size, dtype=np.float64)[:, None], Embed.size
    if kind == "halves":
        sines, cosines = (positions / np.power(theta, 2 * (np.arange(start, dim, 2) // 2) / dim) for start in (0, 1))
        table = np.concatenate((np.sin(sines), np.cos(cosines)), axis=1)
    elif kind == "tensor2tensor":
        half = dim // 2
        if half < 2:
            raise LevgenError(f"A sinusoidal table of this kind needs at least 4 dimensions, not {dim}.")
        # Rounded to fp32 where the reference does, since positions multiply the difference.
        step = np.arange(half, dtype=np.float32) * np.float32(-(math.log(theta) / (half - 1)))
        angles = positions.astype(np.float32) * np.exp(step.astype(np.float64)).astype(np.float32)
        padding = np.zeros((Pos.size, dim % 2), dtype=np.float32)
        table = np.concatenate((np.sin(angles), np.cos(angles), padding), axis=1)
    else:
        raise LevgenError(f"A sinusoidal table is 'halves' or 'tensor2tensor', not {kind!r}.")
    return hax.named(jnp.asarray(table, dtype=jnp.float32), (Pos, Embed))


def alibi_slopes(Heads: Axis, *, max_bias: float = 8.0) -> NamedArray:
    """{Heads} fp32: how much each head dislikes distance, 2^(-max_bias / n), 2^(-2 max_bias / n), ...

    A number of heads that is no power of two takes the slopes of the power below, and fills up with every other slope
    of the power above.

    Source: https://arxiv.org/abs/2108.12409; transformers' modeling_bloom.py and modeling_mpt.py, which agree.
    """
    below = 2 ** math.floor(math.log2(Heads.size))
    slopes = _powers(below, max_bias)
    if below != Heads.size:
        slopes = np.concatenate((slopes, _powers(2 * below, max_bias)[0::2][: Heads.size - below]))
    return hax.named(jnp.asarray(slopes, dtype=jnp.float32), (Heads,))


def grown_queries(q: NamedArray, pos_ids: NamedArray, *, length: float, exponent: float) -> NamedArray:
    """`q` {..., position, ...} times (1 + (position + 1) / length) ** exponent, in fp32 and then in its own dtype.

    A softmax over more keys is flatter; longer queries make up for that: https://arxiv.org/abs/2501.19399.

    Args:
        pos_ids: {..., position} int, over axes of `q`.
    """
    growth = exponent * hax.log1p((pos_ids.astype(jnp.float32) + 1) / length)
    return (q.astype(jnp.float32) * hax.exp(growth)).astype(q.dtype)


class AlibiBias(eqx.Module):
    """`-slope * (query's position - key's position)`, kept as slopes until an attention knows its keys.

    The references write the same bias up to a constant a row, which a softmax does not see.

    slopes: {heads...}, of `alibi_slopes`; unflatten its axis for grouped heads. pos_ids: {..., position} int.
    """

    slopes: NamedArray
    pos_ids: NamedArray

    def materialize(self, key_pos_ids: NamedArray | None = None) -> NamedArray:
        """{heads..., ..., position, key_position} fp32.

        Args:
            key_pos_ids: {..., key_position} int; None is the queries' own positions.
        """
        queries = self.pos_ids
        keys = queries.rename({"position": "key_position"}) if key_pos_ids is None else key_pos_ids
        own = [axis for axis in keys.axes if axis not in queries.axes]
        axes = (*queries.axes, *own)
        distance = keys.broadcast_axis([axis for axis in axes if axis not in keys.axes]).rearrange(axes)
        distance = distance - queries.broadcast_axis(own).rearrange(axes)
        slopes_everywhere = self.slopes.broadcast_axis(axes)
        return slopes_everywhere.rearrange((*self.slopes.axes, *axes)) * distance.astype(jnp.float32)


def tempered_queries(q: NamedArray, pos_ids: NamedArray, *, span: int, scale: float) -> NamedArray:
    """`q` {..., position, ...} times 1 + scale * log(1 + (position + 1) // span), in q's dtype.

    A softmax over more keys is flatter: queries that grow with the logarithm of their position keep it sharp.

    Args:
        pos_ids: {..., position} int, over axes of `q`.
        span: positions of one step; before position span - 1 nothing changes.
        scale: how much a step counts.

    Source: https://arxiv.org/abs/2501.19399; transformers' modeling_llama4.py.
    """
    steps = jnp.floor((pos_ids.array.astype(jnp.float32) + 1.0) / span)
    return q * NamedArray(jnp.log1p(steps) * scale + 1.0, pos_ids.axes).astype(q.dtype)


def _powers(heads: int, max_bias: float) -> _Slopes:
    return cast(_Slopes, np.power(2.0, -np.arange(1, heads + 1) * (max_bias / heads)))
