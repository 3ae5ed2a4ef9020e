"""A model without its weights: shapes in the place of arrays."""

import functools
from typing import Any, TypeVar

import equinox as eqx
import jax
from haliax import Axis

from levgen.runtime.model import LmHeadModel

M = TypeVar("M", bound=LmHeadModel)


def abstract_model(ModelClass: type[M], config: Any, vocab_size: int) -> M:
    """The model with shapes in the place of arrays, traced once for each config."""
    model: M = _traced(ModelClass, config, vocab_size, jax.config.read("jax_enable_x64"))
    return model


@functools.lru_cache(maxsize=16)
def _traced(ModelClass: type[Any], config: Any, vocab_size: int, x64: bool) -> Any:
    """`x64`: with it, arrays have other dtypes."""
    return eqx.filter_eval_shape(ModelClass.init, Axis("vocab", vocab_size), config, key=jax.random.PRNGKey(0))
