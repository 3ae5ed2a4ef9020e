"""Forward and train step of the generated Llama, of one written by hand in JAX, and of transformers' in torch."""

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, get_args

import equinox as eqx
import haliax as hax
import jax
import jax.random as jrandom
import numpy as np
from haliax import Axis

from benchmarks.plain_llama import Layers
from benchmarks.sizes import FULL, QUICK, Size
from benchmarks.step import JaxTrainer
from benchmarks.table import Comparison, Ratio
from benchmarks.timing import Runner, interleaved
from levgen.runtime import LmExample, LmHeadModel
from levgen.runtime.hf_names import hf_tensors, model_arrays
from levgen.runtime.testing import relative_error

GENERATED, SCAN = "generated Llama", "plain JAX, scan"
AIM = 1.05


@dataclass(frozen=True)
class Case:
    """A model with everything that is timed: both are called without arguments, and wait for their results."""

    forward: Callable[[], Any]  # logits [batch, position, vocab]
    train: Callable[[], float]  # one step -> the loss before it


def run(*, quick: bool) -> list[Comparison]:
    """Two tables, for the forward and for the train step.

    Raises RuntimeError where the models, which have the same weights, differ in logits or in the loss of a step.
    """
    size, rounds = (QUICK, 2) if quick else (FULL, 15)
    cases, notes = _cases(size)
    notes.append(_agreement(cases))
    comparisons = []
    for title, function, aims in (("Forward", "forward", {}), ("Train step", "train", {GENERATED: AIM})):
        # The call before each timed one brings back into the caches what the others took from them.
        runners = {
            name: Runner(getattr(case, function), prepare=getattr(case, function)) for name, case in cases.items()
        }
        timings = interleaved(title, runners, rounds)
        ratios = [Ratio(name, SCAN, aims.get(name)) for name in cases if name != SCAN]
        comparisons.append(
            Comparison(f"{title}: Llama, batch {size.batch} x {size.length}, fp32", timings, ratios, notes)
        )
    return comparisons


def _cases(size: Size) -> tuple[dict[str, Case], list[str]]:
    """All models with the weights of one, and what is left out."""
    model = randomised_llama(size)
    config = model.config
    tokens = jrandom.randint(jrandom.key(1), (size.batch, size.length), 0, size.vocab)
    params, rest = eqx.partition(model, eqx.is_inexact_array)
    state = checkpoint(model)
    axes = (size.Batch, config.Pos)
    cases = {
        GENERATED: Case(
            partial(_wait, jax.jit(partial(_logits, rest, axes)), params, tokens),
            JaxTrainer(partial(generated_loss, rest, axes), params, tokens),
        )
    }
    for layers in get_args(Layers):
        plain = size.plain_llama(layers)
        plain_params = plain.params(state)
        cases[f"plain JAX, {layers}"] = Case(
            partial(_wait, jax.jit(plain.logits), plain_params, tokens), JaxTrainer(plain.loss, plain_params, tokens)
        )
    if importlib.util.find_spec("torch") is None:
        return cases, ["No torch here: its rows are left out."]
    from benchmarks.torch_llama import TorchTrainer

    for attention in ("eager", "sdpa"):
        trainer = TorchTrainer(config.to_hf_config(size.vocab), attention, state, np.asarray(tokens))
        cases[f"transformers (torch), {attention}"] = Case(trainer.logits, trainer)
    return cases, []


def randomised_llama(size: Size) -> Any:
    """The generated Llama with noise on every weight: gains of exactly 1 would hide a mistake."""
    return _randomised(eqx.filter_jit(size.llama().build)(size.Vocab, key=jrandom.key(0)), jrandom.key(2))


def generated_loss(rest: LmHeadModel, axes: tuple[Axis, Axis], params: Any, tokens: jax.Array) -> jax.Array:
    """The loss of a generated model, cut into `params` (what trains) and `rest`."""
    example = LmExample.causal(hax.named(tokens, axes))
    return eqx.combine(params, rest).compute_next_token_loss(example).scalar()  # type: ignore[no-any-return]


def checkpoint(model: LmHeadModel) -> dict[str, np.ndarray[Any, Any]]:
    """The tensors of the model's checkpoint by name."""
    arrays = [np.asarray(array) for array in model_arrays(model)]
    return {tensor.name: tensor.select(arrays[tensor.leaf]).reshape(tensor.shape) for tensor in hf_tensors(model)}


def _logits(rest: LmHeadModel, axes: tuple[Axis, Axis], params: Any, tokens: jax.Array) -> jax.Array:
    return eqx.combine(params, rest)(hax.named(tokens, axes)).array  # type: ignore[no-any-return]


def _wait(function: Callable[..., jax.Array], *arguments: Any) -> jax.Array:
    return function(*arguments).block_until_ready()


def _randomised(model: LmHeadModel, key: jax.Array) -> LmHeadModel:
    leaves, structure = jax.tree.flatten(model)
    keys = jrandom.split(key, len(leaves))
    noisy = [leaf + 0.05 * jrandom.normal(k, leaf.shape) for leaf, k in zip(leaves, keys, strict=True)]
    return jax.tree.unflatten(structure, noisy)  # type: ignore[no-any-return]


def _agreement(cases: dict[str, Case], *, steps: int = 3) -> str:
    """That all models compute the same: logits, and the loss of a few steps, which depends on gradients and AdamW."""
    logits = {name: case.forward() for name, case in cases.items()}
    losses = {name: np.array([case.train() for _ in range(steps)]) for name, case in cases.items()}
    worst = [max(relative_error(of[name], of[SCAN]) for name in cases) for of in (logits, losses)]
    if max(worst) > 1e-5:
        raise RuntimeError(
            f"the models differ: relative errors of the logits {worst[0]:.1e}, of the losses {worst[1]:.1e}"
        )
    return f"All have the same weights: logits agree to {worst[0]:.0e}, the losses of {steps} steps to {worst[1]:.0e}."
