"""Tokens on which no choice hangs on rounding: what is drawn anew, and what stays."""

from typing import Any

import equinox as eqx
import haliax as hax
import jax.numpy as jnp
import jax.random as jrandom
import numpy as np
import pytest
from haliax import Axis, NamedArray

from levgen.errors import LevgenError
from levgen.runtime import parity
from levgen.runtime.parity import Ported, redrawn

Batch, Pos = Axis("batch", 3), Axis("position", 50)
NEAR = 3  # the token that is too near


def draw(length: int = Pos.size, *, seed: int) -> NamedArray:
    drawn: NamedArray = hax.random.randint(jrandom.PRNGKey(seed), (Batch, Pos.resize(length)), 0, 12)
    return drawn


class Model(eqx.Module):
    weight: NamedArray = hax.named(jnp.ones(1), "one")


PORTED: Ported[Any] = Ported(None, Model())


def near(model: Any, tokens: NamedArray) -> NamedArray:
    return hax.where(tokens == NEAR, 0.0, 1.0).rearrange(("position", "batch"))


def test_each_sequence_is_drawn_anew_from_its_first_near_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parity, "router_margins", near)
    starts = PORTED.settling(draw)
    first = np.asarray(draw(seed=1).array)
    settled = np.asarray(PORTED.settled(draw).array)
    assert len(starts) > 1
    assert not (settled == NEAR).any()
    for row, at in enumerate(starts[0]):
        assert (first[row] == NEAR).argmax() == at
        np.testing.assert_array_equal(settled[row, :at], first[row, :at])
    np.testing.assert_array_equal(settled, redrawn(draw, starts).array)


def test_one_draw_is_enough_where_nothing_is_near(monkeypatch: pytest.MonkeyPatch) -> None:
    for margins in (lambda model, tokens: hax.ones(tokens.axes), lambda model, tokens: None):
        monkeypatch.setattr(parity, "router_margins", margins)
        assert PORTED.settling(draw, 20) == ()
        np.testing.assert_array_equal(PORTED.settled(draw, 20).array, draw(20, seed=1).array)


def test_it_says_so_where_everything_is_near(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parity, "router_margins", lambda model, tokens: hax.zeros(tokens.axes))
    with pytest.raises(LevgenError, match="after 100 draws of tokens"):
        PORTED.settling(draw)


def test_a_parameter_that_the_loss_does_not_reach_has_a_gradient_of_zero() -> None:
    torch = pytest.importorskip("torch")
    model = torch.nn.ModuleDict({"used": torch.nn.Linear(2, 2), "idle": torch.nn.Linear(2, 3)})
    model["used"](torch.ones(2)).sum().backward()
    assert {name: tuple(zeros.shape) for name, zeros in parity.unreached(model).items()} == {
        "idle.weight": (3, 2),
        "idle.bias": (3,),
    }
