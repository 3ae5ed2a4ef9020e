"""Counting a model's parameters and operations from the shapes of its arrays."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import equinox as eqx
import haliax.nn as hnn
import jax
import jax.numpy as jnp
from haliax import Axis, NamedArray

from levgen.runtime.abstract import abstract_model
from levgen.runtime.checkpoints.names import axes_of
from levgen.runtime.experts import Experts
from levgen.runtime.norms import LayerNorm, RmsNorm

if TYPE_CHECKING:
    from levgen.runtime.config import LmConfig

_NO_PRODUCT = (hnn.Embedding, hnn.LayerNorm, hnn.RmsNorm, LayerNorm, RmsNorm)


def count_parameters(config: "LmConfig", vocab_size: int) -> int:
    """The number of floating-point numbers in the model's arrays."""
    leaves = jax.tree.leaves(abstract_model(config.model_type, config, vocab_size))
    return sum(math.prod(x.shape) for x in leaves if hasattr(x, "dtype") and jnp.issubdtype(x.dtype, jnp.inexact))


def forward_flops_per_token(config: "LmConfig", vocab_size: int, context_length: int) -> float:
    """See `LmConfig.flops_per_token`.

    The heads are those of the projections out of attention: linear layers whose input has an axis named `*head_size`.
    """
    model = abstract_model(config.model_type, config, vocab_size)
    total: float = 2.0 * math.prod(axis.size for axis in model.get_lm_head().axes)
    for module, stack in _modules(model, ()):
        if isinstance(module, hnn.Linear):
            if "vocab" in {axis.name for axis in axes_of(module.Out)}:
                continue  # the head, counted above whether it is tied or not
            # A router, whose output has the axis of experts, scores all of them.
            total += 2.0 * math.prod(axis.size for axis in module.weight.axes)
            total += _attention(config, module, stack, context_length)
            total += _indexer(config, module, stack, context_length)
        elif isinstance(module, Experts):
            total += sum(2.0 * _active(config, weight.axes) for weight in (module.gate_up_proj, module.down_proj))
        elif not isinstance(module, _NO_PRODUCT):
            for value in vars(module).values():
                if isinstance(value, NamedArray) and len([a for a in value.axes if a not in stack]) >= 2:
                    total += 2.0 * _active(config, value.axes)
    return total


def _attention(config: "LmConfig", module: hnn.Linear, stack: tuple[Axis, ...], context_length: int) -> float:
    values = [axis for axis in axes_of(module.In) if axis.name.endswith("head_size")]
    if not values:
        return 0.0
    layers = _active(config, stack)
    width = math.prod(axis.size for axis in axes_of(module.In))
    heads = width // values[0].size
    # Values of latent attention have a size of their own, and so have its queries and keys.
    scored = "QkHeadSize" if values[0].name == "v_head_size" else "HeadSize"
    score_size: int = getattr(config, scored, values[0]).size
    per_key = 2 * heads * score_size + 3 * heads + 2 * width
    return layers * per_key * config.attention_span(context_length)


def _indexer(config: "LmConfig", module: hnn.Linear, stack: tuple[Axis, ...], context_length: int) -> float:
    """An indexer scores every key, too, with heads of its own: it is told by its map to their weights."""
    heads = getattr(config, "IndexHeads", None)
    if heads is None or axes_of(module.Out) != (heads,):
        return 0.0
    size: int = getattr(config, "IndexHeadSize", heads).size
    per_key: int = 2 * heads.size * (size + 1)
    return _active(config, stack) * per_key * config.attention_span(context_length)


def _active(config: "LmConfig", axes: tuple[Axis, ...]) -> float:
    return math.prod((axis.size * config.active_share(axis) for axis in axes), start=1.0)


def _modules(node: Any, stack: tuple[Axis, ...]) -> Iterator[tuple[eqx.Module, tuple[Axis, ...]]]:
    """Every module, with the layer axes that its arrays are stacked along."""
    if isinstance(node, NamedArray):
        return
    if isinstance(node, hnn.Stacked):
        yield from _modules(node.stacked, (*stack, node.Block))
    elif isinstance(node, eqx.Module):
        yield node, stack
        for value in vars(node).values():
            yield from _modules(value, stack)
    elif isinstance(node, list | tuple):
        for item in node:
            yield from _modules(item, stack)
    elif isinstance(node, dict):
        for item in node.values():
            yield from _modules(item, stack)
