"""The compiled parts of training: initial state, one step, evaluation of one batch."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import equinox as eqx
import haliax as hax
import jax
import jax.numpy as jnp
import optax
from haliax import Axis, NamedArray

from levgen.runtime import LmConfig, LmExample, LmHeadModel
from levgen.training.mesh import Placement
from levgen.training.precision import Precision


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
    """What the compiled functions are made of. They are called within `placement.active()`."""

    model_config: LmConfig
    Vocab: Axis
    Pos: Axis
    optimizer: optax.GradientTransformation
    schedule: optax.Schedule
    eos_id: int | None  # splits documents for the attention mask; None: attention crosses documents
    seed: int
    placement: Placement
    precision: Precision
    microbatch: int | None  # examples whose gradients are computed at once; None: the whole batch

    def _keys(self) -> jax.Array:
        """Keys for data, loader, model and training, as Levanter's: a seed gives the same initial weights."""
        return jax.random.split(jax.random.key(self.seed), 4)

    def init(self) -> tuple[State, LmHeadModel]:
        """A fresh state, and the model without its floating-point arrays."""
        _, _, model_key, _ = self._keys()
        state, rest = eqx.filter_jit(self._make)(model_key)
        return jax.device_put(state, self._shardings), rest

    def start_from(self, model: LmHeadModel) -> tuple[State, LmHeadModel]:
        """A state with the parameters of `model` and a fresh optimiser."""
        params, rest = eqx.partition(model, eqx.is_inexact_array)
        return jax.jit(self._fresh, out_shardings=self._shardings)(params), rest

    def shapes(self) -> tuple[State, LmHeadModel]:
        """What `init` gives, with shapes and shardings in place of the state's arrays: nothing is computed."""
        state, rest = self._shapes
        if any(isinstance(leaf, jax.ShapeDtypeStruct) for leaf in jax.tree.leaves(rest)):  # constants of the model
            _, rest = self.init()

        def placed(shape: jax.ShapeDtypeStruct, sharding: jax.sharding.Sharding) -> jax.ShapeDtypeStruct:
            return jax.ShapeDtypeStruct(shape.shape, shape.dtype, sharding=sharding)

        return jax.tree.map(placed, state, self._shardings), rest

    @cached_property
    def _shapes(self) -> tuple[State, Any]:
        shapes: tuple[State, Any] = eqx.filter_eval_shape(self._make, self._keys()[2])
        return shapes

    @cached_property
    def _shardings(self) -> Any:
        return self.placement.shardings(self._shapes[0])

    def check_placement(self) -> None:
        """Raises `MeshError` where the parameters can't be split over the mesh."""
        self.placement.check(eqx.filter_eval_shape(self.model_config.build, self.Vocab, key=jax.random.key(0)))

    def _make(self, key: jax.Array) -> tuple[State, Any]:
        params, rest = eqx.partition(self.model_config.build(self.Vocab, key=key), eqx.is_inexact_array)
        params = _cast(params, self.precision.params)
        # On a mesh no device need ever hold the whole of an array.
        params = jax.lax.with_sharding_constraint(params, self.placement.shardings(params))
        return self._fresh(params), rest

    def _fresh(self, params: Any) -> State:
        return State(jnp.zeros((), jnp.int32), params, self.optimizer.init(params))

    def train_step(self, rest: LmHeadModel) -> Any:
        """The jitted step: (State, tokens {batch, position}) -> (State, StepMetrics). The state given in is donated."""
        _, _, _, training_key = self._keys()

        def loss_and_gradient(params: Any, tokens: jax.Array, key: jax.Array) -> tuple[jax.Array, Any]:
            def loss_of(params: Any) -> jax.Array:
                return self._loss(params, rest, self.example(tokens), key)

            return jax.value_and_grad(loss_of)(params)

        def run(state: State, tokens: jax.Array) -> tuple[State, StepMetrics]:
            key = jax.random.fold_in(training_key, state.step)
            if self.microbatch is None or self.microbatch == tokens.shape[0]:
                loss, grads = loss_and_gradient(state.params, tokens, key)
            else:
                loss, grads = self._accumulated(loss_and_gradient, state.params, tokens, key)
            with jax.named_scope("optimizer"):
                updates, opt_state = self.optimizer.update(grads, state.opt_state, state.params)
                new = State(state.step + 1, optax.apply_updates(state.params, updates), opt_state)
                rate = jnp.asarray(self.schedule(state.step), jnp.float32)
                return new, StepMetrics(loss, optax.tree.norm(grads), rate)

        placement = self.placement
        return jax.jit(
            run,
            donate_argnums=0,
            in_shardings=(self._shardings, placement.of_batch),
            out_shardings=(self._shardings, placement.replicated),
        )

    def _accumulated(
        self, loss_and_gradient: Callable[..., Any], params: Any, tokens: jax.Array, key: jax.Array
    ) -> tuple[jax.Array, Any]:
        """The mean of loss and gradient over pieces of the batch, one after the other, summed in fp32."""
        count = tokens.shape[0] // (self.microbatch or tokens.shape[0])
        # Piece i takes every count-th row, so that each device finds its rows of every piece among its own.
        pieces = tokens.reshape(-1, count, tokens.shape[1]).swapaxes(0, 1)

        def add(total: tuple[jax.Array, Any], piece: tuple[jax.Array, jax.Array]) -> tuple[tuple[jax.Array, Any], None]:
            loss, grads = loss_and_gradient(params, *piece)
            return jax.tree.map(lambda a, b: a + b.astype(jnp.float32), total, (loss, grads)), None

        zeros = jax.tree.map(lambda array: jnp.zeros(array.shape, jnp.float32), params)
        zeros = jax.lax.with_sharding_constraint(zeros, self.placement.shardings(params))
        total, _ = jax.lax.scan(add, (jnp.zeros(()), zeros), (pieces, jax.random.split(key, count)))
        loss, grads = jax.tree.map(lambda array: array / count, total)
        return loss, jax.tree.map(lambda grad, param: grad.astype(param.dtype), grads, params)

    def eval_step(self, rest: LmHeadModel) -> Callable[..., tuple[jax.Array, jax.Array]]:
        """The jitted evaluation: (params, tokens {batch, position}, weights {batch}) -> summed loss, summed weight."""

        def run(params: Any, tokens: jax.Array, weights: jax.Array) -> tuple[jax.Array, jax.Array]:
            example = self.example(tokens, weights)
            total = example.loss_weight.array.sum()
            return jnp.where(total > 0, self._loss(params, rest, example, None) * total, 0.0), total

        placement = self.placement
        return jax.jit(
            run,
            in_shardings=(self._shardings.params, placement.of_batch, placement.of_batch),
            out_shardings=placement.replicated,
        )

    def _loss(self, params: Any, rest: LmHeadModel, example: LmExample, key: jax.Array | None) -> jax.Array:
        """The mean loss, computed in the precision's dtype and along the mesh; the loss itself is fp32."""
        with hax.axis_mapping(self.placement.compute):
            model = eqx.combine(_cast(params, self.precision.compute), rest)
            loss = model.compute_next_token_loss(hax.shard(example), key=key)
        return jnp.asarray(loss.array if isinstance(loss, NamedArray) else loss)

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


def _cast(arrays: Any, dtype: str) -> Any:
    return jax.tree.map(lambda array: array.astype(dtype), arrays)
