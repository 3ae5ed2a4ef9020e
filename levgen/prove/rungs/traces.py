"""traces: forward and backward are traced on shapes alone, tiny and at full size, which takes no memory."""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from haliax import Axis, NamedArray

from levgen.prove.bench import LENGTH, Bench, Vocab, abstract
from levgen.prove.outcome import Case, Outcome, failed, passed
from levgen.runtime import LmExample
from levgen.runtime.checkpoints.names import model_arrays

FULL_VOCAB = Axis("vocab", 32_000)


def traces(bench: Bench) -> Outcome:
    """Traces TINY and the config's defaults: initialisation, logits, and the gradient of the loss."""
    subject = bench.subject
    sizes = {"tiny": (subject.config, Vocab, LENGTH), "full": _full(subject.config_class)}
    parameters = 0
    for name, (config, vocabulary, length) in sizes.items():
        try:
            model = abstract(subject.model_class, config, vocabulary)
            eqx.filter_eval_shape(_forward_and_backward, model, shape_of_tokens(length))
        except NotImplementedError:
            raise  # of a stub
        except Exception as error:
            case = Case(bench.subject.config, LENGTH) if name == "tiny" else None
            return failed(f"at {name} size: {type(error).__name__}: {first_line(error)}", case=case)
        parameters = sum(math.prod(array.shape) for array in model_arrays(model))
    length = sizes["full"][2]
    return passed(f"tiny, and at full size: {parameters / 1e9:.3g}B parameters over {length} positions")


def shape_of_tokens(length: int) -> NamedArray:
    """{batch, position} int, as a shape."""
    axes = (Axis("batch", 2), Axis("position", length))
    return NamedArray(jax.ShapeDtypeStruct((2, length), jnp.int32), axes)  # type: ignore[arg-type]


def first_line(error: Exception) -> str:
    """The first line of what an exception says."""
    return (str(error).strip().splitlines() or [""])[0]


def _full(config_class: Any) -> tuple[Any, Axis, int]:
    config = config_class()
    return config, FULL_VOCAB, config.max_seq_len


def _forward_and_backward(model: Any, tokens: NamedArray) -> Any:
    def loss(model: Any) -> jax.Array:
        value: jax.Array = model.compute_next_token_loss(LmExample.causal(tokens)).scalar()
        return value

    return model(tokens), eqx.filter_grad(loss)(model)
