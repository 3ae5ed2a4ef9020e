"""One step of AdamW, by optax and by torch, that parity tests compare. Each is imported where it is used."""

from typing import Any, TypeVar, cast

import equinox as eqx
import jax
import jax.numpy as jnp

M = TypeVar("M", bound=eqx.Module)

# AdamW with a large epsilon, this part of the largest gradient: where a gradient is nearly 0, the step would else be
# its sign, which is noise, and noise grows with the largest.
_LEARNING_RATE, _BETAS, _EPSILON, _WEIGHT_DECAY = 1e-2, (0.9, 0.95), 1e-2, 0.1


@eqx.filter_jit
def stepped(model: M, gradients: Any) -> M:
    """`model` after a step along `gradients`, a tree like it."""
    import optax

    largest = jnp.stack([jnp.abs(gradient).max() for gradient in jax.tree.leaves(gradients)]).max()
    optimizer = optax.adamw(_LEARNING_RATE, *_BETAS, eps=_EPSILON * largest, weight_decay=_WEIGHT_DECAY)
    parameters = eqx.filter(model, eqx.is_inexact_array)
    updates, _ = optimizer.update(gradients, optimizer.init(parameters), parameters)
    return cast(M, eqx.apply_updates(model, updates))


def step_reference(reference: Any) -> None:
    """The same step by torch, in place, along the gradients that the parameters have."""
    import torch

    parameters = list(reference.parameters())
    largest = max(float(p.grad.abs().max()) for p in parameters if p.grad is not None)
    torch.optim.AdamW(parameters, _LEARNING_RATE, _BETAS, eps=_EPSILON * largest, weight_decay=_WEIGHT_DECAY).step()
