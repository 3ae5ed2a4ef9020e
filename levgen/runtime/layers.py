"""Values that differ from layer to layer, as arrays over the layers: a scan hands each layer its own."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import haliax as hax
import jax.numpy as jnp
from haliax import Axis, NamedArray

from levgen.errors import LevgenError, did_you_mean

T = TypeVar("T")


def by_layer(Layers: Axis, kinds: Sequence[Any], values: Mapping[Any, Any]) -> NamedArray:
    """{Layers}: the value of each layer's kind.

    Args:
        kinds: one for each layer, such as `config.layer_types`.
        values: kind -> value: numbers or booleans.

    Raises:
        LevgenError: there are more or fewer kinds than layers, or one that has no value.
    """
    return hax.named(jnp.asarray(kinds_of_layers(Layers, kinds, values)), Layers)


def kinds_of_layers(Layers: Axis, kinds: Sequence[Any], values: Mapping[Any, T]) -> tuple[T, ...]:
    """The value of each layer's kind, in order; as `by_layer`, for values that are no numbers."""
    if len(kinds) != Layers.size:
        raise LevgenError(
            f"{len(kinds)} layers are described, and the model has {Layers.size}.",
            f"Give one kind for each layer: {', '.join(map(repr, values))}.",
        )
    unknown = [kind for kind in kinds if kind not in values]
    if unknown:
        known = [str(kind) for kind in values]
        raise LevgenError(
            f"A layer of the kind {unknown[0]!r} is not known.",
            did_you_mean(str(unknown[0]), known) or f"Known are {', '.join(known)}.",
        )
    return tuple(values[kind] for kind in kinds)


def averaged(x: NamedArray, added: NamedArray, terms: NamedArray) -> NamedArray:
    """(sqrt(terms) * x + added) / sqrt(terms + 1), in fp32 and then in the dtype of `x`.

    A stream whose blocks are added so is the sum of all terms so far over the square root of their number: it stays as
    large as one of them, where these are independent.

    Args:
        x: {...}, of so many `terms`: {} int. `added`: {...}, one more.
    """
    count = terms.astype(jnp.float32)
    kept, new = hax.sqrt(count / (count + 1)), 1 / hax.sqrt(count + 1)
    return (x.astype(jnp.float32) * kept + added.astype(jnp.float32) * new).astype(x.dtype)
