"""Telling rounding from a change of the function: in float64 the one vanishes, and the other stays."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from levgen.prove.mutate.program import same_program
from levgen.runtime.testing import relative_error

# Rounding: the compiler may order sums otherwise for another text of the same function.
SAME = 1e-6
# Beyond this it is none; and what is left of it in float64, where constants such as frequencies are still float32.
_NO_ROUNDING, _SAME_IN_DOUBLE = 1e-4, 1e-10


def difference(outputs: Callable[[Any], Any], before: Any, after: Any) -> float:
    """The relative error between what two models give; 0 where it is above SAME by rounding only."""
    if same_program(outputs, (before,), (after,)):
        return 0.0
    error = relative_error(outputs(after), outputs(before))
    if SAME < error <= _NO_ROUNDING:
        with _in_double():
            if relative_error(outputs(_wide(after)), outputs(_wide(before))) <= _SAME_IN_DOUBLE:
                return 0.0
    return error


@contextlib.contextmanager
def _in_double() -> Iterator[None]:
    """While it lasts, arrays may be float64, and so is what the runtime computes in float32 to be precise."""
    narrow = jnp.float32
    with jax.enable_x64(True):
        jnp.float32 = jnp.float64
        try:
            yield
        finally:
            jnp.float32 = narrow


def _wide(model: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf.astype(jnp.float64) if eqx.is_inexact_array(leaf) else leaf, model)
