"""A train step in JAX, the same for every model: loss, gradients, AdamW."""

from collections.abc import Callable
from typing import Any

import jax
import optax

LEARNING_RATE, BETAS, EPSILON, WEIGHT_DECAY = 1e-3, (0.9, 0.95), 1e-8, 0.1

Loss = Callable[[Any, jax.Array], jax.Array]
State = tuple[Any, Any]  # parameters, optimiser state


def optimizer() -> optax.GradientTransformation:
    return optax.adamw(LEARNING_RATE, *BETAS, eps=EPSILON, weight_decay=WEIGHT_DECAY)


def init_state(params: Any) -> State:
    return params, optimizer().init(params)


def train_step(loss: Loss) -> Any:
    """The jitted step, (state, tokens) -> (state, loss), for `loss(params, tokens)`. The state given in is donated."""

    def step(state: State, tokens: jax.Array) -> tuple[State, jax.Array]:
        params, opt_state = state
        value, gradients = jax.value_and_grad(loss)(params, tokens)
        updates, opt_state = optimizer().update(gradients, opt_state, params)
        return (optax.apply_updates(params, updates), opt_state), value

    return jax.jit(step, donate_argnums=0)


class JaxTrainer:
    """A model in training: each call is one step on the same tokens, and returns the loss before it."""

    def __init__(self, loss: Loss, params: Any, tokens: jax.Array) -> None:
        self.step, self.tokens = train_step(loss), tokens
        self.state = init_state(jax.tree.map(lambda leaf: leaf.copy(), params))

    def __call__(self) -> float:
        self.state, loss = self.step(self.state, self.tokens)
        jax.block_until_ready(self.state)
        return float(loss)
