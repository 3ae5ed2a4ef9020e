"""Rounding is told from a small change of the function."""

import jax.numpy as jnp
import numpy as np
import pytest

from levgen.prove.mutate.double import SAME, difference

X = np.linspace(1.0, 2.0, 1000, dtype=np.float32)


def outputs(model):
    # Large numbers that cancel: in float32 what is left has an error of some 1e-5.
    x, shift = (jnp.asarray(leaf, model.dtype) for leaf in (X, 300.0))
    return (x.astype(jnp.float32) * model + shift) - shift


def test_rounding_is_no_difference():
    one = jnp.ones((1000,), jnp.float32)

    def other_order(model):
        x = jnp.asarray(X, model.dtype)
        return outputs(model) if model.ndim == 1 else x * (model[0] - 1.0)

    assert difference(other_order, one, one[None] + 1.0) == 0.0
    assert jnp.float32 is not jnp.float64, "what was there before is there again"
    assert jnp.ones(1).dtype == np.float32


@pytest.mark.parametrize("change", [3e-6, 2e-5, 1e-2])
def test_a_small_change_is_one(change):
    one = jnp.ones((1000,), jnp.float32)
    found = difference(lambda model: jnp.asarray(X, model.dtype) * model, one, one * np.float32(1 + change))
    assert found == pytest.approx(change, rel=0.1)
    assert found > SAME
