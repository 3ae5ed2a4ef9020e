"""The compiled parts of training: initial state, one step, evaluation of one batch."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import equinox as eqx
import haliax as hax
import jax
import jax.numpy as jnp
import optax
from haliax import Axis, NamedArray

from levgen.runtime import LmConfig, LmExample, LmHeadModel


class State(NamedTuple):
    """Everything that a step changes; the data position and the step's PRNG key follow from `step`."""

    step: jax.Array  # int32, the number of steps that have been run
    params: Any  # the model's floating-point arrays, None elsewhere
    opt_state: Any


class StepMetrics(NamedTuple):
    """Of the parameters before the step."""

    loss: jax.Array
    grad_norm: jax.Array
    learning_rate: jax.Array


@dataclass(frozen=True)
class Training:
    """What the compiled functions are made of."""

    model_config: LmConfig
    Vocab: Axis
    Pos: Axis
    optimizer: optax.GradientTransformation
    schedule: optax.Schedule
    eos_id: int | None  # splits documents for the attention mask; None: attention crosses documents
    seed: int

    def _keys(self) -> jax.Array:
        """Keys for data, loader, model and training, as Levanter's: a seed gives the same initial weights."""
        return jax.random.split(jax.random.key(self.seed), 4)

    def init(self) -> tuple[State, LmHeadModel]:
        """A fresh state, and the model without its floating-point arrays."""
        _, _, model_key, _ = self._keys()
        return eqx.filter_jit(self._make)(model_key)

    def start_from(self, model: LmHeadModel) -> tuple[State, LmHeadModel]:
        """A state with the parameters of `model` and a fresh optimiser."""
        params, rest = eqx.partition(model, eqx.is_inexact_array)
        return jax.jit(self._fresh)(params), rest

    def shapes(self) -> tuple[State, LmHeadModel]:
        """What `init` gives, with shapes in place of the state's arrays: nothing is computed."""
        state, rest = eqx.filter_eval_shape(self._make, self._keys()[2])
        if any(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in jax.tree.leaves(rest)):  # constants of the model
            state, rest = self.init()
        return state, rest

    def _make(self, key: jax.Array) -> tuple[State, Any]:
        params, rest = eqx.partition(self.model_config.build(self.Vocab, key=key), eqx.is_inexact_array)
        return self._fresh(params), rest

    def _fresh(self, params: Any) -> State:
        return State(jnp.zeros((), jnp.int32), params, self.optimizer.init(params))

    def train_step(self, rest: LmHeadModel) -> Any:
        """The jitted step: (State, tokens {batch, position}) -> (State, StepMetrics). The state given in is donated."""
        _, _, _, training_key = self._keys()

        def run(state: State, tokens: jax.Array) -> tuple[State, StepMetrics]:
            key = jax.random.fold_in(training_key, state.step)

            def loss_of(params: Any) -> jax.Array:
                loss = eqx.combine(params, rest).compute_next_token_loss(self.example(tokens), key=key)
                return _scalar(loss)

            loss, grads = jax.value_and_grad(loss_of)(state.params)
            updates, opt_state = self.optimizer.update(grads, state.opt_state, state.params)
            metrics = StepMetrics(loss, optax.tree.norm(grads), jnp.asarray(self.schedule(state.step), jnp.float32))
            return State(state.step + 1, optax.apply_updates(state.params, updates), opt_state), metrics

        return jax.jit(run, donate_argnums=0)

    def eval_step(self, rest: LmHeadModel) -> Callable[..., tuple[jax.Array, jax.Array]]:
        """The jitted evaluation: (params, tokens {batch, position}, weights {batch}) -> summed loss, summed weight."""

        def run(params: Any, tokens: jax.Array, weights: jax.Array) -> tuple[jax.Array, jax.Array]:
            example = self.example(tokens, weights)
            total = example.loss_weight.array.sum()
            loss = _scalar(eqx.combine(params, rest).compute_next_token_loss(example))
            return jnp.where(total > 0, loss * total, 0.0), total

        return jax.jit(run)

    def example(self, tokens: jax.Array, weights: jax.Array | None = None) -> LmExample:
        """The example of tokens {batch, position}; `weights` {batch} scale the loss of each row."""
        Batch = Axis("batch", tokens.shape[0])
        named = hax.named(tokens, (Batch, self.Pos))
        scale = None if weights is None else hax.named(weights, Batch).broadcast_axis(self.Pos)
        if self.eos_id is None:
            return LmExample.causal(named, loss_weight=scale)
        ends = jnp.concatenate([jnp.zeros_like(tokens[:, :1]), tokens[:, :-1] == self.eos_id], axis=1)
        ids = hax.named(jnp.cumsum(ends, axis=1), (Batch, self.Pos))
        return LmExample.causal(named, loss_weight=scale, segment_ids=ids)


def _scalar(loss: NamedArray | jax.Array) -> jax.Array:
    return jnp.asarray(loss.array if isinstance(loss, NamedArray) else loss)
