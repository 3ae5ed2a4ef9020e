"""A generated model's weights, for rivals of it to take over, and its forward and loss on plain arrays."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import haliax as hax
import jax
import jax.random as jrandom
import numpy as np
from haliax import Axis, NamedArray

from levgen.runtime import LmExample, LmHeadModel
from levgen.runtime.checkpoints.names import hf_tensors, model_arrays

State = dict[str, np.ndarray[Any, Any]]  # a checkpoint's tensors by name


def randomised(config: Any, Vocab: Axis) -> Any:
    """The generated model of `config` with noise on every weight: gains of exactly 1 would hide a mistake."""
    model = eqx.filter_jit(config.build)(Vocab, key=jrandom.key(0))
    leaves, structure = jax.tree.flatten(model)
    keys = jrandom.split(jrandom.key(2), len(leaves))
    noisy = [leaf + 0.05 * jrandom.normal(key, leaf.shape) for leaf, key in zip(leaves, keys, strict=True)]
    return jax.tree.unflatten(structure, noisy)


def checkpoint(model: LmHeadModel) -> State:
    """The tensors of the model's checkpoint, as transformers names and shapes them."""
    arrays = [np.asarray(array) for array in model_arrays(model)]
    return {tensor.name: tensor.select(arrays[tensor.leaf]).reshape(tensor.shape) for tensor in hf_tensors(model)}


class NamedModel:
    """A model over named axes as functions of parameters and tokens: a generated one, or Levanter's own.

    `example` makes what the loss is computed from, in the classes of the model's library.
    """

    def __init__(
        self, model: Any, axes: tuple[Axis, Axis], example: Callable[[NamedArray], Any] = LmExample.causal
    ) -> None:
        self.params, self._rest = eqx.partition(model, _trains)
        self._axes, self._example = axes, example

    def logits(self, params: Any, tokens: jax.Array) -> jax.Array:
        """`tokens` [batch, position] int -> [batch, position, vocab]."""
        example = self._example(hax.named(tokens, self._axes))
        logits = eqx.combine(params, self._rest)(example.tokens, example.attn_mask)
        return logits.rearrange((*self._axes, "vocab")).array  # type: ignore[no-any-return]

    def loss(self, params: Any, tokens: jax.Array) -> jax.Array:
        """The mean cross-entropy of the next token."""
        loss = eqx.combine(params, self._rest).compute_next_token_loss(self._example(hax.named(tokens, self._axes)))
        return loss.array if isinstance(loss, NamedArray) else loss


def abstract(config: Any, Vocab: Axis) -> Any:
    """The model with shapes in place of weights."""
    return eqx.filter_eval_shape(config.build, Vocab, key=jrandom.key(0))


def _trains(leaf: Any) -> bool:
    """Whether `leaf` is a weight, or the shape of one."""
    return isinstance(leaf, jax.ShapeDtypeStruct) or bool(eqx.is_inexact_array(leaf))
