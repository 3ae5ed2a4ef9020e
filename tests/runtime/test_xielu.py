"""The activation with parameters against torch's, with other numbers in each of its tensors."""

from typing import Any

import equinox as eqx
import haliax as hax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from levgen.runtime import XIelu
from levgen.runtime.testing import gradients_by_hf_name, module_from_torch, relative_error, to_torch

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

NAMES = ("alpha_p", "alpha_n", "beta", "eps")
# The fourth is where the curve begins: it shows where it is far from 0, on either side.
NUMBERS = [(0.2, -1.05, 0.5, -1e-6), (1.7, 0.4, -0.8, -0.9), (-0.6, 2.0, 1.3, 0.4)]
X = np.concatenate([np.linspace(-60, 60, 601), np.linspace(-1.2, 1.2, 601)]).astype(np.float32)


def _pair(numbers: tuple[float, ...] | None) -> tuple[Any, XIelu]:
    """torch's with `numbers`, or fresh, and ours with the same."""
    from transformers.activations import ACT2CLS

    theirs = ACT2CLS["xielu"](dtype=torch.float32)
    if numbers is not None:
        with torch.no_grad():
            for name, value in zip(NAMES, numbers, strict=True):
                getattr(theirs, name).fill_(value)
    return theirs, module_from_torch(eqx.filter_eval_shape(XIelu.init), theirs)


@eqx.filter_jit
def _run(module: XIelu, x: Any) -> Any:
    return module(x)


@pytest.mark.parametrize("numbers", NUMBERS, ids=str)
def test_values_and_gradients_are_those_of_torch(numbers: tuple[float, ...]) -> None:
    theirs, ours = _pair(numbers)
    x = hax.named(X, "mlp")
    given = to_torch(x).requires_grad_()
    out = theirs(given)
    weight = torch.linspace(0.5, 1.5, len(X))
    (out * weight).sum().backward()
    assert relative_error(_run(ours, x), out) <= 1e-6
    small = np.abs(X) <= 1.2
    assert relative_error(_run(ours, x).array[small], out[to_torch(small)]) <= 1e-6

    def weighed(both: tuple[XIelu, Any]) -> Any:
        return jnp.sum(both[0](both[1]).array * weight.numpy())

    by_module, by_input = eqx.filter_jit(eqx.filter_grad(weighed))((ours, x))
    assert relative_error(by_input, given.grad) <= 1e-5
    gradients = gradients_by_hf_name(by_module)
    for name in ("alpha_p", "alpha_n"):
        assert relative_error(gradients[name], getattr(theirs, name).grad) <= 1e-5
    assert {name: float(gradients[name]) for name in ("beta", "eps")} == {"beta": 0.0, "eps": 0.0}


def test_a_fresh_one_has_the_numbers_of_torch() -> None:
    theirs, _ = _pair(None)
    fresh = gradients_by_hf_name(eqx.filter_jit(XIelu.init)())
    assert {name: tensor.numpy().tolist() for name, tensor in theirs.state_dict().items()} == {
        name: array.tolist() for name, array in fresh.items()
    }


def test_bfloat16_is_as_near_as_torch() -> None:
    theirs, ours = _pair(NUMBERS[1])
    x = hax.named(X, "mlp")
    exact = theirs(to_torch(x)).detach()
    narrow = jax.tree.map(lambda a: a.astype(jnp.bfloat16), ours)
    out = _run(narrow, x.astype(jnp.bfloat16))
    assert out.dtype == jnp.bfloat16
    error = relative_error(out, exact)
    assert error <= 2 * relative_error(theirs.to(torch.bfloat16)(to_torch(x).to(torch.bfloat16)), exact)
    assert error <= 0.02
