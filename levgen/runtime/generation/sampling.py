"""Choosing the next token."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from haliax import NamedArray
from jaxtyping import PRNGKeyArray

from levgen.errors import LevgenError


@dataclass(frozen=True)
class Sampling:
    """How a token is chosen: the likeliest one at a temperature of 0, else drawn from what `top_k` and `top_p` leave.

    Attributes:
        temperature: divides the logits.
        top_k: the likeliest k tokens; None is all.
        top_p: the fewest likeliest tokens whose probabilities come to p, after `top_k`; 1 is all.

    Raises:
        LevgenError: a value that is out of range.
    """

    temperature: float = 0.0
    top_k: int | None = None
    top_p: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.temperature < float("inf"):
            raise LevgenError(f"a temperature is 0 or more, got {self.temperature}")
        if self.top_k is not None and self.top_k < 1:
            raise LevgenError(f"top_k is 1 or more tokens, got {self.top_k}")
        if not 0 < self.top_p <= 1:
            raise LevgenError(f"top_p is above 0 and at most 1, got {self.top_p}")
        if self.temperature == 0 and (self.top_k is not None or self.top_p < 1):
            raise LevgenError(
                "top_k and top_p belong to sampling", "at a temperature of 0 the likeliest token is taken"
            )

    def choose(self, logits: NamedArray, key: PRNGKeyArray) -> jax.Array:
        """{batch, vocab} -> {batch} int."""
        scores = logits.rearrange((..., "vocab")).array.astype(jnp.float32)
        if self.temperature == 0:
            return jnp.argmax(scores, axis=-1)
        return jax.random.categorical(key, self.restricted(scores / self.temperature), axis=-1)

    def restricted(self, scores: jax.Array) -> jax.Array:
        """The scores, -inf for tokens that are not to be drawn. {..., vocab} -> the same."""
        if self.top_k is not None and self.top_k < scores.shape[-1]:
            smallest = jax.lax.top_k(scores, self.top_k)[0][..., -1:]
            scores = jnp.where(scores >= smallest, scores, -jnp.inf)
        if self.top_p < 1:
            descending = jnp.sort(scores, axis=-1, descending=True)
            probabilities = jax.nn.softmax(descending, axis=-1)
            # A token stays while those before it come to less than p: the first always does.
            stays = jnp.cumsum(probabilities, axis=-1) - probabilities < self.top_p
            smallest = jnp.min(jnp.where(stays, descending, jnp.inf), axis=-1, keepdims=True)
            scores = jnp.where(scores >= smallest, scores, -jnp.inf)
        return scores
