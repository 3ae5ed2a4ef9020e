"""How long a train step takes to trace and compile, by the number of layers."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from benchmarks.plain_llama import Layers
from benchmarks.sizes import FULL, QUICK, Size
from benchmarks.step import Loss, init_state, train_step
from benchmarks.table import Comparison, Ratio
from benchmarks.timing import Runner, interleaved
from benchmarks.weights import NamedModel, abstract
from levgen.runtime.checkpoints.names import hf_tensors

AIM = 1.2


def run(*, quick: bool) -> list[Comparison]:
    """One table: generated models at few and many layers, and a plain JAX Llama beside them."""
    size, depths, rounds = (QUICK, (1, 2), 1) if quick else (FULL, (4, 32), 5)
    runners: dict[str, Runner] = {}
    ratios = []
    for model in ("generated Llama", "generated GPT-2", "plain JAX, scan", "plain JAX, unrolled"):
        few, many = (f"{model}, {layers} layers" for layers in depths)
        for name, layers in zip((few, many), depths, strict=True):
            compile_step = partial(_compile, _lowered_by(model, replace(size, layers=layers)))
            runners[name] = Runner(compile_step, prepare=jax.clear_caches)
        ratios.append(Ratio(many, few, AIM if model.startswith("generated") else None))
    return [Comparison("Trace and compile a train step", interleaved("Compile", runners, rounds), ratios)]


def _compile(lower: Callable[[], Any]) -> None:
    lower().compile()


def _lowered_by(model: str, size: Size) -> Callable[[], Any]:
    """What lowers the train step. It works on shapes: no weights are made."""
    loss, params = {
        "generated Llama": lambda: _generated(size.llama(), size),
        "generated GPT-2": lambda: _generated(size.gpt2(), size),
        "plain JAX, scan": lambda: _plain("scan", size),
        "plain JAX, unrolled": lambda: _plain("unrolled", size),
    }[model]()
    state = eqx.filter_eval_shape(init_state, params)
    tokens = jax.ShapeDtypeStruct((size.batch, size.length), jnp.int32)
    return lambda: train_step(loss).lower(state, tokens)


def _generated(config: Any, size: Size) -> tuple[Loss, Any]:
    model = NamedModel(abstract(config, size.Vocab), (size.Batch, config.Pos))
    return model.loss, model.params


def _plain(layers: Layers, size: Size) -> tuple[Loss, Any]:
    model = abstract(size.llama(), size.Vocab)
    tensors = {tensor.name: jax.ShapeDtypeStruct(tensor.shape, jnp.float32) for tensor in hf_tensors(model)}
    plain = size.plain_llama(layers)
    return plain.loss, jax.eval_shape(plain.params, tensors)
