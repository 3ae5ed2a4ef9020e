"""Whether two models are the same program, which takes no compilation to tell."""

import re
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np


def same_program(function: Callable[..., Any], before: tuple[Any, ...], after: tuple[Any, ...]) -> bool:
    """Whether `function` traces to the same operations on the same numbers for both tuples of arguments.

    Equal programs compute the same. Of two that are not equal nothing is known: sums may only stand in another order.
    Raises whatever the function raises on either.
    """
    one, other = (_traced(function, arguments) for arguments in (before, after))
    return one[0] == other[0] and len(one[1]) == len(other[1]) and all(map(_equal, one[1], other[1]))


def _traced(function: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[str, list[Any]]:
    """The operations as text, and all arrays that they work on."""
    program, _, _ = eqx.filter_make_jaxpr(function)(*arguments)
    given = jax.tree.leaves(eqx.filter(arguments, eqx.is_array))
    # Rules for derivatives are written as where they are in memory; what they make of a function is written out.
    return re.sub(r" at 0x[0-9a-f]+", "", str(program.jaxpr)), [*program.consts, *given]


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, jax.Array) and jnp.issubdtype(a.dtype, jax.dtypes.prng_key):
        a, b = jax.random.key_data(a), jax.random.key_data(b)
    return bool(np.shape(a) == np.shape(b) and np.array_equal(np.asarray(a), np.asarray(b)))
