"""Forward and train step of generated models, of hand-written JAX, and of what else one would train them with."""

import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, get_args

import jax
import jax.random as jrandom
import numpy as np

from benchmarks.plain_llama import Layers
from benchmarks.sizes import FULL, QUICK, Size
from benchmarks.step import JaxTrainer
from benchmarks.table import Comparison, Ratio
from benchmarks.timing import Runner, interleaved
from benchmarks.weights import NamedModel, State, checkpoint, randomised
from levgen.runtime.testing import relative_error

# The rival of all ratios: as generated models do, it computes each layer again for its gradient.
PLAIN = "plain JAX, scan + remat"
LEVANTER = "Levanter's own"
AIM, LEVANTER_AIM = 1.0, 1 / 0.95


@dataclass(frozen=True)
class Case:
    """A model with everything that is timed: both are called without arguments, and wait for their results."""

    forward: Callable[[], Any]  # logits [batch, position, vocab]
    train: Callable[[], float]  # one step -> the loss before it


class JaxModel(Protocol):
    """A model as functions of its parameters."""

    def logits(self, params: Any, tokens: jax.Array) -> jax.Array: ...

    def loss(self, params: Any, tokens: jax.Array) -> jax.Array: ...


def run(*, quick: bool) -> list[Comparison]:
    """Two tables a model, for the forward and for the train step.

    Raises RuntimeError where rivals, which have the same weights, differ in logits or in the loss of a step.
    """
    size, rounds = (QUICK, 2) if quick else (FULL, 15)
    return [comparison for name in ("Llama", "GPT-2") for comparison in _compare(name, size, rounds, quick=quick)]


def _compare(name: str, size: Size, rounds: int, *, quick: bool) -> Iterator[Comparison]:
    generated = f"generated {name}"
    cases, notes = _cases(name, size, quick=quick)
    notes.append(_agreement(cases))
    for title, function, aim in (("Forward", "forward", None), ("Train step", "train", AIM)):
        # The call before each timed one brings back into the caches what the others took from them.
        runners = {case: Runner(getattr(of, function), prepare=getattr(of, function)) for case, of in cases.items()}
        timings = interleaved(f"{title}, {name}", runners, rounds)
        ratios = [Ratio(case, PLAIN, aim if case == generated else None) for case in cases if case != PLAIN]
        if LEVANTER in cases and aim is not None:
            ratios = [ratio for ratio in ratios if ratio.case != LEVANTER]
            ratios.append(Ratio(LEVANTER, generated, LEVANTER_AIM, at_least=True))
        yield Comparison(f"{title}: {name}, batch {size.batch} x {size.length}, fp32", timings, ratios, notes)


def _cases(name: str, size: Size, *, quick: bool) -> tuple[dict[str, Case], list[str]]:
    """All rivals with the generated model's weights, and a line for each kind that is left out."""
    config = size.llama() if name == "Llama" else size.gpt2()
    plain: Callable[[Layers], Any] = size.plain_llama if name == "Llama" else size.plain_gpt2
    model = randomised(config, size.Vocab)
    state = checkpoint(model)
    tokens = jrandom.randint(jrandom.key(1), (size.batch, size.length), 0, size.vocab)
    named = NamedModel(model, (size.Batch, config.Pos))
    cases = {f"generated {name}": _jax_case(named, named.params, tokens)}
    for layers in get_args(Layers):
        cases[f"plain JAX, {layers}"] = _jax_case(plain(layers), plain(layers).params(state), tokens)
    notes = []
    if name == "Llama":
        notes = _add_other_llamas(cases, size, state, tokens)
    return cases, notes + _add_torch(cases, config.to_hf_config(size.vocab), state, np.asarray(tokens), quick=quick)


def _add_other_llamas(cases: dict[str, Case], size: Size, state: State, tokens: jax.Array) -> list[str]:
    """Those of the libraries that are installed."""
    missing = [name for name in ("flax", "levanter") if importlib.util.find_spec(name) is None]
    if "flax" not in missing:
        from benchmarks.nnx_llama import NnxLlama

        nnx = NnxLlama(size.plain_llama("unrolled"), state)
        cases["flax.nnx"] = _jax_case(nnx, nnx.params, tokens)
    if "levanter" not in missing:
        from benchmarks.levanter_llama import levanter_llama

        theirs = levanter_llama(size.llama(), size.Vocab, size.Batch, state)
        cases[LEVANTER] = _jax_case(theirs, theirs.params, tokens)
    return [f"No {name} here: its row is left out." for name in missing]


def _add_torch(
    cases: dict[str, Case], config: Any, state: State, tokens: np.ndarray[Any, Any], *, quick: bool
) -> list[str]:
    if importlib.util.find_spec("torch") is None:
        return ["No torch here: its rows are left out."]
    from benchmarks.torch_models import TorchTrainer, cannot_compile

    # Compiling takes a minute a model, whatever its size.
    why_not = "this is a quick run" if quick else cannot_compile()
    for row in ("eager", "sdpa", *(() if why_not else ("compile",))):
        attention = "eager" if row == "eager" else "sdpa"
        trainer = TorchTrainer(config, attention, state, tokens, compiled=row == "compile")
        cases[f"transformers (torch), {row}"] = Case(trainer.logits, trainer)
    return [f"torch.compile is left out: {why_not}."] if why_not else []


def _jax_case(model: JaxModel, params: Any, tokens: jax.Array) -> Case:
    forward = partial(jax.jit(model.logits), params, tokens)
    return Case(lambda: forward().block_until_ready(), JaxTrainer(model.loss, params, tokens))


def _agreement(cases: dict[str, Case], *, steps: int = 3) -> str:
    """That all models compute the same: logits, and the loss of a few steps, which depends on gradients and AdamW."""
    logits = {name: np.asarray(case.forward()) for name, case in cases.items()}
    losses = {name: np.array([case.train() for _ in range(steps)]) for name, case in cases.items()}
    worst = [max(relative_error(of[name], of[PLAIN]) for name in cases) for of in (logits, losses)]
    if max(worst) > 1e-5:
        raise RuntimeError(
            f"the models differ: relative errors of the logits {worst[0]:.1e}, of the losses {worst[1]:.1e}"
        )
    return f"All have the same weights: logits agree to {worst[0]:.0e}, the losses of {steps} steps to {worst[1]:.0e}."
