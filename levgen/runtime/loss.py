"""Next-token cross-entropy that never holds the logits of all tokens at once."""

import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import haliax as hax
import jax
import jax.numpy as jnp
from haliax import Axis, AxisSelection, AxisSelector, NamedArray
from haliax.jax_utils import named_call
from haliax.partitioning import current_thread_local_mapping, physical_axis_size
from jax.typing import DTypeLike

from levgen.errors import LevgenError

# Logits of so few elements a device (4 MB in fp32) are computed in one go: blocks would only cost time.
SMALL = 2**20
# Tokens a device in a block. An accelerator needs many for the head's product to be bound by arithmetic and not by
# reading the head; a CPU is fastest when a block stays near its caches (at 4096 classes 40% faster than all at once).
BLOCK_TOKENS, BLOCK_TOKENS_CPU = 1024, 256


@named_call
def next_token_loss(
    hidden: NamedArray,
    logits: Callable[[NamedArray], NamedArray],
    tokens: NamedArray,
    loss_weight: NamedArray | None = None,
    *,
    Vocab: Axis,
    Pos: AxisSelector = "position",
    reduction: Callable[..., NamedArray] | None = hax.mean,
    reduction_axis: AxisSelection | None = None,
    logsumexp_weight: float | None = None,
    loss_dtype: DTypeLike = jnp.float32,
    block_tokens: int | None = None,
) -> NamedArray:
    """Cross-entropy of the token after each position, in fp32: the logits at position i predict token i + 1.

    Long inputs are cut into blocks along the positions. Where the result is one number, the gradients of `hidden` and
    of the head are computed with each block in the forward pass, so that nothing is computed twice; where it has axes,
    the backward pass computes each block again.

    Args:
        hidden: {..., position, embed}.
        logits: the head, {..., position, embed} -> {..., position, vocab}, called with blocks of positions. A module, a
            bound method or a closure: whatever arrays it uses get gradients, and a tied embedding's add up.
        tokens: {..., position} int, over the axes of `hidden` but one.
        loss_weight: {..., position}, over axes of `tokens`; None is 1. The last position always counts 0.
        Vocab: the axis of the logits that classes lie on.
        Pos: the axis of positions, or its name.
        reduction: `hax.mean` divides by the sum of the weights (0 when that is 0), `hax.sum` adds, None keeps all axes.
        reduction_axis: the axes to reduce; None is all.
        logsumexp_weight: adds this times the squared log normaliser (z-loss), under the same weights.
        loss_dtype: what the logits are cast to; sums are fp32 whatever it is.
        block_tokens: tokens a device in a block; None is 1024 (256 on a CPU), or all of them where the logits are few.

    Returns:
        The loss over the axes that are left, fp32.

    Raises:
        LevgenError: `tokens` doesn't have all axes of `hidden` but one, or the head's result lacks `Vocab`.
    """
    embed = [axis for axis in hidden.axes if axis not in tokens.axes]
    positions = [axis for axis in tokens.axes if axis.name == hax.axis_name(Pos)]
    if len(embed) != 1 or len(positions) != 1 or len(tokens.axes) + 1 != len(hidden.axes):
        raise LevgenError(
            f"The tokens must have the axes of the hidden states but for the embedding, with '{hax.axis_name(Pos)}' "
            f"among them: tokens have {tokens.axes}, hidden states {hidden.axes}."
        )
    [Position] = positions
    others = tuple(axis for axis in tokens.axes if axis != Position)
    axes = (Position, *others)

    weight = hax.arange(Position) < Position.size - 1
    if loss_weight is not None:
        weight = loss_weight.astype(jnp.float32) * weight
    weight = weight.astype(jnp.float32).broadcast_axis(axes).rearrange(axes)
    targets = hax.roll(tokens, -1, Position).rearrange(axes).array
    states = hidden.rearrange((*axes, *embed)).array

    size = _block_size(Position, others, Vocab, block_tokens)
    blocks = math.ceil(Position.size / size)
    head = _head(logits, (Position.resize(size), *others, *embed), Vocab, states.dtype, loss_dtype)
    z = logsumexp_weight or 0.0

    if blocks == 1:
        losses = NamedArray(_token_losses(head, states, targets, z), axes).rearrange(tokens.axes)
        return _reduced(losses, weight, reduction, reduction_axis)

    params, rest = eqx.partition(head, eqx.is_inexact_array)
    cut = [_cut(array, blocks, size) for array in (states, targets, weight.array)]
    if reduction in (hax.mean, hax.sum) and (reduction_axis is None or not hax.axis.without_axes(axes, reduction_axis)):
        total = _weighted_sum((params, cut[0], cut[2]), rest, cut[1], z)
        return NamedArray(_mean(total, weight.array.sum()) if reduction is hax.mean else total, ())

    @jax.checkpoint
    def losses_of(block: tuple[jax.Array, jax.Array]) -> jax.Array:
        return _token_losses(eqx.combine(params, rest), *block, z)

    flat = jax.lax.map(losses_of, (cut[0], cut[1]))
    losses = NamedArray(flat.reshape(blocks * size, *flat.shape[2:])[: Position.size], axes).rearrange(tokens.axes)
    return _reduced(losses, weight, reduction, reduction_axis)


def _reduced(
    losses: NamedArray,
    weight: NamedArray,
    reduction: Callable[..., NamedArray] | None,
    reduction_axis: AxisSelection | None,
) -> NamedArray:
    weight = weight.rearrange(losses.axes)
    weighted = losses * weight
    if reduction is None:
        return weighted
    if reduction is not hax.mean:
        return reduction(weighted, axis=reduction_axis)
    total = hax.sum(weighted, axis=reduction_axis)
    return NamedArray(_mean(total.array, hax.sum(weight, axis=reduction_axis).array), total.axes)


def _mean(total: jax.Array, count: jax.Array) -> jax.Array:
    """0 where nothing counts, with a gradient of 0 and not of 0 / 0."""
    return jnp.where(count != 0, total / jnp.where(count != 0, count, 1.0), 0.0)


def _block_size(Position: Axis, others: tuple[Axis, ...], Vocab: Axis, block_tokens: int | None) -> int:
    """Positions in a block. All other axes stay whole, so that a batch over devices stays where it is."""
    beside = math.prod(axis.size for axis in others) / _devices((Position, *others))
    if block_tokens is None:
        if Position.size * beside * Vocab.size / _devices((Vocab,)) <= SMALL:
            return Position.size
        block_tokens = BLOCK_TOKENS_CPU if jax.default_backend() == "cpu" else BLOCK_TOKENS
    size = min(max(1, int(block_tokens / beside)), Position.size)
    return math.ceil(Position.size / math.ceil(Position.size / size))  # blocks of one size, with the least padding


def _devices(axes: tuple[Axis, ...]) -> int:
    """Over how many devices the current axis mapping spreads these axes."""
    if current_thread_local_mapping() is None:
        return 1
    try:
        return math.prod(physical_axis_size(axis) or 1 for axis in axes)
    except ValueError:  # a mapping without a mesh
        return 1


def _head(
    logits: Callable[[NamedArray], NamedArray],
    axes: tuple[Axis, ...],
    Vocab: Axis,
    dtype: DTypeLike,
    loss_dtype: DTypeLike,
) -> Callable[[jax.Array], jax.Array]:
    """The head on plain arrays, as a pytree of the arrays that it uses and no others.

    A bound method holds the whole model: without this, a gradient as large as the model would be carried along.
    """

    def plain(states: jax.Array) -> jax.Array:
        out = logits(NamedArray(states, axes))
        expected = (*axes[:-1], Vocab)
        if set(out.axes) != set(expected):
            raise LevgenError(f"The head must give {expected} for {axes}, and it gives {out.axes}.")
        return out.rearrange(expected).array.astype(loss_dtype)

    example = jax.ShapeDtypeStruct([axis.size for axis in axes], dtype)
    return eqx.filter_closure_convert(plain, example)


def _cut(array: jax.Array, blocks: int, size: int) -> jax.Array:
    """[position, ...] -> [blocks, size, ...], padded with zeros (of which the weights make nothing)."""
    padding = [(0, blocks * size - array.shape[0])] + [(0, 0)] * (array.ndim - 1)
    padded = jnp.pad(array, padding) if padding[0][1] else array
    return padded.reshape(blocks, size, *array.shape[1:])


def _token_losses(head: Callable[[jax.Array], jax.Array], states: jax.Array, targets: jax.Array, z: float) -> jax.Array:
    """`states` [..., embed], `targets` [...] -> [...] fp32."""
    return _cross_entropy(head(states), targets, z).astype(jnp.float32)


def _cross_entropy(logits: jax.Array, targets: jax.Array, z: float) -> jax.Array:
    """`logits` [..., vocab] fp32, `targets` [...] -> [...]. The loss of a target outside the vocabulary is finite."""
    normaliser = jax.nn.logsumexp(logits, axis=-1)
    classes = jnp.clip(targets, 0, logits.shape[-1] - 1)
    loss = normaliser - jnp.take_along_axis(logits, classes[..., None], axis=-1)[..., 0]
    return loss + z * jnp.square(normaliser) if z else loss


# The first argument, (params, states, weights), is the one with gradients.
@eqx.filter_custom_vjp
def _weighted_sum(differentiable: Any, rest: Any, targets: jax.Array, z: float) -> jax.Array:
    params, states, weights = differentiable

    def add(total: jax.Array, block: tuple[jax.Array, ...]) -> tuple[jax.Array, None]:
        state, target, weight = block
        losses = _token_losses(eqx.combine(params, rest), state, target, z)
        return total + (weight * losses).sum(), None

    return jax.lax.scan(add, jnp.zeros(()), (states, targets, weights))[0]


@_weighted_sum.def_fwd  # type: ignore[untyped-decorator]  # equinox leaves it untyped
def _weighted_sum_forward(
    perturbed: Any, differentiable: Any, rest: Any, targets: jax.Array, z: float
) -> tuple[jax.Array, Any]:
    params, states, weights = differentiable
    wanted = perturbed[:2]
    moving = eqx.filter(params, wanted[0])
    zeros = jax.tree.map(lambda param: jnp.zeros(param.shape, jnp.float32), moving)

    def add(carry: tuple[jax.Array, Any], block: tuple[jax.Array, ...]) -> tuple[tuple[jax.Array, Any], Any]:
        total, gradients = carry
        state, target, weight = block
        inputs, fixed = eqx.partition((params, state), wanted)

        def weighted(inputs: Any) -> tuple[jax.Array, jax.Array]:
            block_params, block_state = eqx.combine(inputs, fixed)
            losses = _token_losses(eqx.combine(block_params, rest), block_state, target, z)
            return (weight * losses).sum(), losses

        (block_total, losses), (of_params, of_state) = jax.value_and_grad(weighted, has_aux=True)(inputs)
        gradients = jax.tree.map(lambda total, new: total + new.astype(jnp.float32), gradients, of_params)
        return (total + block_total, gradients), (of_state, losses)

    (total, of_params), (of_states, losses) = jax.lax.scan(add, (jnp.zeros(()), zeros), (states, targets, weights))
    of_params = jax.tree.map(lambda gradient, param: gradient.astype(param.dtype), of_params, moving)
    return total, (of_params, of_states, losses)


@_weighted_sum.def_bwd  # type: ignore[untyped-decorator]
def _weighted_sum_backward(
    residuals: Any, cotangent: jax.Array, perturbed: Any, differentiable: Any, rest: Any, targets: jax.Array, z: float
) -> Any:
    of_params, of_states, losses = residuals
    gradients = (of_params, of_states, losses if perturbed[2] else None)
    return jax.tree.map(lambda gradient: (gradient * cotangent).astype(gradient.dtype), gradients)
