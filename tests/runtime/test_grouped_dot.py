"""Products by group, against one product a group."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from levgen.runtime.grouped_dot import gather_rows, grouped_dot

IN, OUT = 24, 40
GROUPS = {
    "alike": (10, 10, 10, 10),
    "one-has-all": (0, 200, 0),
    "some-empty": (0, 3, 0, 0, 61, 1, 0),
    "rows-of-none": (5, 90, 2),
    "none": (0, 0),
}


def _drawn(sizes: Sequence[int], beyond: int) -> tuple[jax.Array, jax.Array, jax.Array]:
    rng = np.random.default_rng(0)
    rows, matrices = rng.normal(size=(sum(sizes) + beyond, IN)), rng.normal(size=(len(sizes), IN, OUT))
    return jnp.asarray(rows, jnp.float32), jnp.asarray(matrices, jnp.float32), jnp.asarray(sizes, jnp.int32)


def _one_by_one(rows: jax.Array, matrices: jax.Array, sizes: Sequence[int]) -> jax.Array:
    starts = np.cumsum([0, *sizes])
    products = [rows[starts[g] : starts[g + 1]] @ matrices[g] for g in range(len(sizes))]
    return jnp.concatenate([*products, jnp.zeros((rows.shape[0] - starts[-1], OUT))])


@pytest.mark.parametrize("sizes", GROUPS.values(), ids=GROUPS)
def test_grouped_dot_and_its_gradients(sizes: Sequence[int]) -> None:
    rows, matrices, counts = _drawn(sizes, beyond=7)
    gradient = jnp.asarray(np.random.default_rng(1).normal(size=(rows.shape[0], OUT)), jnp.float32)
    ours, pull = jax.vjp(lambda rows, matrices: grouped_dot(rows, matrices, counts), rows, matrices)
    expected, expected_pull = jax.vjp(lambda rows, matrices: _one_by_one(rows, matrices, sizes), rows, matrices)
    for found, wanted in zip((ours, *pull(gradient)), (expected, *expected_pull(gradient)), strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_operations_grow_with_rows_and_not_with_groups() -> None:
    """What is computed at once is a block, not the rows times the groups."""
    for groups in (4, 64):
        rows, matrices = jnp.ones((256, IN)), jnp.ones((groups, IN, OUT))
        jaxpr = jax.make_jaxpr(grouped_dot)(rows, matrices, jnp.full(groups, 256 // groups))
        largest = max(np.prod(v.aval.shape) for v in _outputs(jaxpr.jaxpr) if v.aval.shape != matrices.shape)
        assert largest <= (256 + 256) * OUT


def _outputs(jaxpr: object) -> list:  # type: ignore[type-arg]
    found = []
    for equation in jaxpr.eqns:  # type: ignore[attr-defined]
        found += equation.outvars
        for value in equation.params.values():
            inner = getattr(value, "jaxpr", value)
            found += _outputs(inner) if hasattr(inner, "eqns") else []
    return found


def test_gathered_rows_and_their_gradient() -> None:
    values, order = (
        jnp.asarray(np.random.default_rng(0).normal(size=(5, 3)), jnp.float32),
        jnp.asarray(np.random.default_rng(1).permutation(10)),
    )
    ours, pull = jax.vjp(lambda values: gather_rows(values, order, jnp.argsort(order), 2), values)
    expected, expected_pull = jax.vjp(lambda values: values[order // 2], values)
    np.testing.assert_array_equal(ours, expected)
    np.testing.assert_allclose(pull(ours)[0], expected_pull(ours)[0], rtol=1e-6)
