import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("torch", reason="the reference is in torch")
import torch
from haliax import Axis, named
from numeric import relative_error
from transformers.activations import ACT2CLS, ACT2FN

from levgen.errors import LevgenError
from levgen.runtime.activations import ACTIVATIONS, activation

GRID = np.concatenate((np.linspace(-12, 12, 1201), [-100.0, -1e-3, 1e-3, 100.0])).astype(np.float32)
KINKS = (3.0, 6.0, 10.0)  # of hardswish, relu6 and gelu_10


def test_every_activation_of_transformers_without_parameters_is_here():
    with_parameters = {name for name in ACT2CLS if any(True for _ in ACT2FN[name].parameters())}
    assert set(ACTIVATIONS) == set(ACT2CLS) - with_parameters


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_values_and_slopes_are_those_of_transformers(name):
    x = torch.tensor(GRID, requires_grad=True)
    reference = ACT2FN[name](x)
    (slope,) = torch.autograd.grad(reference.sum(), x)

    ours = activation(name)(named(GRID, Axis("mlp", GRID.size)))
    our_slope = jax.grad(lambda x: activation(name)(named(x, "mlp")).array.sum())(jnp.asarray(GRID))

    np.testing.assert_allclose(ours.array, reference.detach().numpy(), rtol=1e-6, atol=1e-6)
    # A kink has no slope, and each library picks its own; torch's sqrt(softplus) has none where softplus underflows.
    smooth = (np.abs(GRID) > 1e-4) & ~np.isin(np.abs(GRID), KINKS) & np.isfinite(slope.numpy())
    assert smooth.mean() > 0.99
    assert relative_error(our_slope[smooth], slope.numpy()[smooth]) < 1e-5


def test_gelu_is_the_erf_form():
    x = named(GRID, "mlp")
    assert np.abs(activation("gelu")(x).array - activation("gelu_new")(x).array).max() > 1e-4


def test_the_dtype_stays():
    x = named(jnp.asarray(GRID, dtype=jnp.bfloat16), "mlp")
    assert {activation(name)(x).dtype for name in ACTIVATIONS} == {jnp.dtype(jnp.bfloat16)}


def test_one_name_is_one_function():
    assert activation("silu") is activation("silu")


def test_an_unknown_name_meets_the_nearest():
    with pytest.raises(LevgenError, match="gelu_new"):
        activation("gelu_nwe")


@pytest.mark.parametrize("name", ["prelu", "xielu"])
def test_an_activation_with_parameters_is_refused(name):
    with pytest.raises(LevgenError, match="slope"):
        activation(name)
