"""Elementwise activations by transformers' names (`transformers.activations.ACT2FN`)."""

import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from haliax import NamedArray

from levgen.errors import LevgenError, did_you_mean

_Elementwise = Callable[[jax.Array], jax.Array]


def _gelu(x: jax.Array) -> jax.Array:
    return jax.nn.gelu(x, approximate=False)


def _gelu_tanh(x: jax.Array) -> jax.Array:
    return jax.nn.gelu(x, approximate=True)


def _laplace(x: jax.Array) -> jax.Array:
    """A Gaussian's distribution function, with MEGA's mean and deviation."""
    return 0.5 * (1.0 + jax.lax.erf((x - 0.707107) / (0.282095 * math.sqrt(2.0))))


def _sqrt_softplus(x: jax.Array) -> jax.Array:
    """Floored at the least normal number: the slope of a root at 0 is infinite, and softplus underflows to 0."""
    return jnp.sqrt(jnp.maximum(jax.nn.softplus(x), jnp.finfo(x.dtype).tiny))  # type: ignore[no-untyped-call]


ACTIVATIONS: dict[str, _Elementwise] = {
    "gelu": _gelu,
    "gelu_10": lambda x: jnp.clip(_gelu(x), -10.0, 10.0),
    "gelu_accurate": _gelu_tanh,
    "gelu_fast": lambda x: 0.5 * x * (1.0 + jnp.tanh(x * 0.7978845608 * (1.0 + 0.044715 * x * x))),
    "gelu_new": _gelu_tanh,
    "gelu_python": _gelu,
    "gelu_python_tanh": _gelu_tanh,
    "gelu_pytorch_tanh": _gelu_tanh,
    "hardswish": jax.nn.hard_swish,
    "laplace": _laplace,
    "leaky_relu": lambda x: jax.nn.leaky_relu(x, 0.01),
    "linear": lambda x: x,
    "mish": lambda x: x * jnp.tanh(jax.nn.softplus(x)),
    "quick_gelu": lambda x: x * jax.nn.sigmoid(1.702 * x),
    "relu": jax.nn.relu,
    "relu2": lambda x: jnp.square(jax.nn.relu(x)),
    "relu6": jax.nn.relu6,
    "sigmoid": jax.nn.sigmoid,
    "silu": jax.nn.silu,
    "sqrtsoftplus": _sqrt_softplus,
    "swish": jax.nn.silu,
    "tanh": jnp.tanh,
}

_WITH_PARAMETERS = {"prelu": "a learned slope", "xielu": "two learned slopes"}


_MODULES = {"xielu": "The module `levgen.runtime.XIelu` has them."}


@functools.cache  # one function a name: it is a static field of modules, which jit compares
def activation(name: str) -> Callable[[NamedArray], NamedArray]:
    """The activation of that name in transformers: any axes, in and out, dtype kept. "gelu" is the erf form.

    Raises:
        LevgenError: an unknown name, or an activation that has parameters of its own.
    """
    if name in _WITH_PARAMETERS:
        raise LevgenError(
            f"The activation '{name}' has {_WITH_PARAMETERS[name]}, so a function can't stand for it.",
            _MODULES.get(name, "Write it as a module with those parameters."),
        )
    if name not in ACTIVATIONS:
        known = sorted(ACTIVATIONS)
        raise LevgenError(
            f"Unknown activation '{name}'.", did_you_mean(name, known) or f"Known are {', '.join(known)}."
        )
    function = ACTIVATIONS[name]

    def apply(x: NamedArray) -> NamedArray:
        return NamedArray(function(x.array), x.axes)

    apply.__name__ = apply.__qualname__ = name
    return apply
