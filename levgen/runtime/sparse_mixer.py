"""Experts chosen one after another, each weighed against those that were nearly as good (SparseMixer)."""

import haliax as hax
import jax
import jax.numpy as jnp
from haliax import Axis, NamedArray

from levgen.errors import LevgenError
from levgen.runtime.routing import note_margin


def sparse_mixer(
    logits: NamedArray, Chosen: Axis, *, jitter: float, Experts: str = "expert"
) -> tuple[NamedArray, NamedArray]:
    """The experts of each token and their weights: {..., expert} -> twice {..., chosen}, the best first.

    Each choice is the largest logit of those that are left. It weighs as in a softmax over these, without the ones
    that are worse by more than `2 * jitter` of the larger of their own size and the best: 1 where none is near.

    This is what a model computes when it is evaluated; in training SparseMixer (arXiv 2409.12136) draws its choices.

    Raises:
        LevgenError: more experts are to be chosen than there are.
    """
    (Expert,) = (axis for axis in logits.axes if axis.name == Experts)
    if Chosen.size > Expert.size:
        raise LevgenError(f"{Chosen.size} experts a token are to be chosen, and there are {Expert.size}.")
    others = tuple(axis for axis in logits.axes if axis != Expert)
    ordered = logits.rearrange((*others, Expert)).array
    left = jnp.ones(ordered.shape, dtype=bool)
    chosen, weights, margins = [], [], []
    for _ in range(Chosen.size):
        compared = jax.lax.stop_gradient(jnp.where(left, ordered, -jnp.inf))
        best = compared.max(axis=-1, keepdims=True)
        behind = (best - compared) / jnp.maximum(jnp.abs(jax.lax.stop_gradient(ordered)), best)
        near = left & ~(behind > 2 * jitter)  # where all are 0, none is worse
        index = compared.argmax(axis=-1, keepdims=True)
        weigh = jax.nn.softmax(jnp.where(near, ordered, -jnp.inf), axis=-1)
        chosen.append(index)
        weights.append(jnp.take_along_axis(weigh, index, axis=-1))
        is_chosen = jnp.arange(Expert.size) == index
        # Neither which one is the best may hang on rounding, nor which are near to it.
        margins.append(jnp.where(is_chosen, jnp.inf, jnp.minimum(behind, jnp.abs(behind - 2 * jitter))).min(axis=-1))
        left = left & ~is_chosen
    note_margin(lambda: hax.named(jnp.stack(margins).min(axis=0), others))
    axes = (*others, Chosen)
    return NamedArray(jnp.concatenate(chosen, axis=-1), axes), NamedArray(jnp.concatenate(weights, axis=-1), axes)
