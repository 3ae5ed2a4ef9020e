"""Choosing a token: the likeliest, or one of those that top_k and top_p leave."""

import haliax as hax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from haliax import Axis

from levgen.errors import LevgenError
from levgen.runtime.generation import Sampling

Batch, Vocab = Axis("batch", 2), Axis("vocab", 4)
PROBABILITIES = np.asarray([[0.5, 0.3, 0.15, 0.05], [0.05, 0.15, 0.3, 0.5]], np.float32)
LOGITS = hax.named(np.log(PROBABILITIES), (Batch, Vocab))


def test_the_likeliest_by_default() -> None:
    assert Sampling().choose(LOGITS, jax.random.PRNGKey(0)).tolist() == [0, 3]


@pytest.mark.parametrize(
    ("sampling", "left"),
    [
        (Sampling(1.0), 4),
        (Sampling(1.0, top_k=3), 3),
        (Sampling(1.0, top_k=9), 4),
        (Sampling(1.0, top_p=0.79), 2),  # 0.5 is less, 0.8 is not
        (Sampling(1.0, top_p=0.81), 3),
        (Sampling(1.0, top_p=0.01), 1),
        (Sampling(1.0, top_k=2, top_p=0.7), 2),  # of the two that top_k leaves, the first has 0.625
        (Sampling(1.0, top_k=2, top_p=0.6), 1),
    ],
    ids=str,
)
def test_what_is_left(sampling: Sampling, left: int) -> None:
    scores = sampling.restricted(jnp.asarray(np.log(PROBABILITIES)))
    assert np.isfinite(scores).sum(axis=-1).tolist() == [left, left]
    assert np.isfinite(scores)[0, :left].all()


def test_tokens_are_drawn_by_their_probability() -> None:
    """At a temperature of 0.5 probabilities are squared, and what top_k leaves shares the whole."""
    Many = Axis("batch", 20_000)
    many = hax.named(jnp.broadcast_to(LOGITS.array[0], (Many.size, 4)), (Many, Vocab))
    drawn = Sampling(0.5, top_k=2).choose(many, jax.random.PRNGKey(1))
    found = np.bincount(np.asarray(drawn), minlength=4) / Many.size
    np.testing.assert_allclose(found, [0.25 / 0.34, 0.09 / 0.34, 0, 0], atol=0.01)


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": -1},
        {"temperature": float("nan")},
        {"temperature": 1, "top_k": 0},
        {"temperature": 1, "top_p": 0},
        {"temperature": 1, "top_p": 1.1},
        {"top_k": 3},
        {"top_p": 0.5},
    ],
)
def test_what_is_out_of_range_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(LevgenError):
        Sampling(**wrong)  # type: ignore[arg-type]
