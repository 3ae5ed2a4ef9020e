"""Linear maps and embeddings with the initialisation that reference models use: Normal(0, std), or cut off."""

import math
from collections.abc import Sequence
from typing import cast

import haliax as hax
import haliax.nn as hnn
import jax
from haliax import Axis, NamedArray
from haliax.axis import AxisSpec, concat_axes
from jaxtyping import PRNGKeyArray

from levgen.errors import LevgenError


class Linear(hnn.Linear):
    """A haliax Linear with the initialisation of reference models: weight ~ Normal(0, std), bias 0.

    It stays an `hnn.Linear`, the class that tools for LoRA and fp8 look for.
    """

    @staticmethod
    def init(  # type: ignore[override]  # a standard deviation in place of haliax's scale
        In: AxisSpec,
        Out: AxisSpec,
        *,
        key: PRNGKeyArray,
        std: float,
        use_bias: bool,
        bias_std: float = 0.0,
        out_first: bool = True,
        cutoff: float | None = None,
    ) -> "Linear":
        """A map from `In` to `Out`.

        Args:
            std: standard deviation of the weight's entries.
            bias_std: that of the bias's, which is 0 by default.
            out_first: the weight is {Out..., In...}, as torch stores it; False for references that transpose it.
            cutoff: no entry of the weight is further from 0 than this many `std`, the deviation before it is cut.
        """
        axes = concat_axes(Out, In) if out_first else concat_axes(In, Out)
        bias = hax.zeros(Out) if use_bias else None
        if bias is not None and bias_std:
            bias = hax.random.normal(jax.random.fold_in(key, 1), Out) * bias_std
        return Linear(weight=_normal(key, axes, std, cutoff), bias=bias, In=In, Out=Out)

    def __call__(self, inputs: NamedArray, *, key: PRNGKeyArray | None = None) -> NamedArray:
        """`inputs`: {..., In} -> {..., Out}."""
        return cast(NamedArray, super().__call__(inputs, key=key))


class Embedding(hnn.Embedding):
    """A haliax Embedding whose weight {Vocab, Embed...} is drawn from Normal(0, std)."""

    @staticmethod
    def init(  # type: ignore[override]  # a standard deviation in place of haliax's scale
        Vocab: Axis, Embed: AxisSpec, *, key: PRNGKeyArray, std: float, cutoff: float | None = None
    ) -> "Embedding":
        """A table of `Vocab` vectors over `Embed`. `cutoff`: as in `Linear.init`."""
        return Embedding(weight=_normal(key, concat_axes(Vocab, Embed), std, cutoff), Vocab=Vocab, Embed=Embed)

    def __call__(self, input_ids: NamedArray, *, key: PRNGKeyArray | None = None) -> NamedArray:
        """`input_ids`: {...} int, below the size of Vocab -> {..., Embed}."""
        return cast(NamedArray, super().__call__(input_ids, key=key))


def _normal(key: PRNGKeyArray, axes: AxisSpec, std: float, cutoff: float | None) -> NamedArray:
    """Normal(0, std), or that between -cutoff * std and cutoff * std, whose deviation is smaller."""
    if cutoff is None:
        return cast(NamedArray, hax.random.normal(key, axes) * std)
    return cast(NamedArray, hax.random.truncated_normal(key, axes, -cutoff, cutoff) * std)


def split_axis(x: NamedArray, axis: Axis, *parts: Sequence[Axis]) -> tuple[NamedArray, ...]:
    """Cuts `axis` into consecutive pieces, each with its own axes: {..., axis} -> {..., *parts[0]}, {..., *parts[1]}.

    Raises:
        LevgenError: the pieces don't fill the axis.
    """
    flat = [Axis(axis.name, math.prod(piece.size for piece in part)) for part in parts]
    if sum(piece.size for piece in flat) != axis.size:
        sizes = " + ".join(str(piece.size) for piece in flat)
        raise LevgenError(f"the pieces of axis {axis.name!r} must add up to its size {axis.size}, and {sizes} don't.")
    pieces = x.split(axis, flat)
    return tuple(piece.unflatten_axis(axis.name, part) for piece, part in zip(pieces, parts, strict=True))


def join_axis(part: Axis, axis: Axis, *pieces: NamedArray) -> NamedArray:
    """Lays pieces that are over `part` one after the other along `axis`: several {..., part} -> {..., axis}.

    Raises:
        LevgenError: the pieces don't fill the axis.
    """
    if len(pieces) * part.size != axis.size:
        raise LevgenError(
            f"pieces of axis {part.name!r} must add up to the size {axis.size} of {axis.name!r}, and {len(pieces)} of "
            f"{part.size} don't."
        )
    return hax.concatenate(axis.name, [piece.rename({part.name: axis.name}) for piece in pieces])
