"""Programs that are the same are told from others without running either."""

import jax
import jax.numpy as jnp
import jax.random as jrandom
import pytest

from levgen.prove.mutate.program import same_program

X = jnp.arange(4.0)


def run(function, x):
    return jax.nn.silu(jax.jit(function)(x))


def test_the_same_operations_on_the_same_numbers():
    one, other = (lambda x: 2 * x + X), (lambda y: y * 2 + (X + 0))
    assert same_program(run, (one, X), (lambda x: 2 * x + X, X))
    assert not same_program(run, (one, X), (other, X)), "nobody knows: the sums stand in another order"


@pytest.mark.parametrize(
    "other",
    [
        (lambda x: 2 * x, X + 1),
        (lambda x: 2 * x, X[:3]),
        (lambda x: 3 * x, X),
        (lambda x: 2 * x + (X + 1), X),
        (lambda x: jax.lax.stop_gradient(2 * x), X),
    ],
    ids=["another argument", "another shape", "another number", "another constant", "another gradient"],
)
def test_another_program(other):
    def gradients(function, x):
        return jax.grad(lambda x: jnp.sum(run(function, x) ** 2))(x)

    assert same_program(gradients, (lambda x: 2 * x, X), (lambda x: 2 * x, X))
    assert not same_program(gradients, (lambda x: 2 * x, X), other)


def test_what_is_drawn_from_another_key_is_another_program():
    draws = [lambda key: jrandom.normal(key, (2,)), lambda key: jrandom.normal(jrandom.fold_in(key, 1), (2,))]
    keys = jrandom.key(0), jrandom.key(1)
    assert same_program(lambda draw, key: draw(key), (draws[0], keys[0]), (draws[0], keys[0]))
    assert not same_program(lambda draw, key: draw(key), (draws[0], keys[0]), (draws[1], keys[0]))
    assert not same_program(lambda draw, key: draw(key), (draws[0], keys[0]), (draws[0], keys[1]))
