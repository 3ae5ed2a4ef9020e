"""Generating text: prompts in, the tokens that a model goes on with out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import haliax as hax
import jax
import jax.numpy as jnp
import numpy as np
from haliax import Axis, NamedArray
from jaxtyping import PRNGKeyArray

from levgen.errors import LevgenError
from levgen.runtime.generation.kv_cache import first_step, next_step, unstacked
from levgen.runtime.generation.sampling import Sampling
from levgen.runtime.model import LmHeadModel

# Prompts are padded to a multiple of this, so that most lengths share a compiled program.
_BUCKET = 32


@dataclass(frozen=True)
class Generated:
    """What a model goes on with: new tokens of each prompt, the stop token included where there was one."""

    tokens: list[list[int]]
    stopped: list[bool]  # whether it ended with a stop token
    cache_bytes: int  # of keys and values, room for all new tokens included


def generate(
    model: LmHeadModel,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    sampling: Sampling | None = None,
    stop_ids: Sequence[int] = (),
    key: PRNGKeyArray | None = None,
) -> Generated:
    """The tokens that `model` goes on with, for all prompts at once, with a cache of keys and values.

    Args:
        prompts: token ids, at least one each; of any lengths.
        max_new_tokens: for each prompt, unless a stop token comes first.
        sampling: by default the likeliest token.
        stop_ids: tokens that end a text.
        key: what is drawn follows from it; by default from the seed 0.

    Raises:
        LevgenError: an empty prompt, a token that the vocabulary lacks, more tokens than the model has positions.
    """
    longest = _checked(model, prompts, max_new_tokens)
    padded = min(-(-longest // _BUCKET) * _BUCKET, model.max_length - max_new_tokens)
    tokens = np.zeros((len(prompts), padded), dtype=np.int32)
    visible = np.zeros((len(prompts), padded), dtype=bool)
    for row, prompt in enumerate(prompts):
        tokens[row, padded - len(prompt) :] = prompt
        visible[row, padded - len(prompt) :] = True
    axes = (Axis("batch", len(prompts)), Axis("position", padded))
    out, lengths, stopped, nbytes = _generate(
        model,
        NamedArray(jnp.asarray(tokens), axes),
        NamedArray(jnp.asarray(visible), axes),
        jax.random.PRNGKey(0) if key is None else key,
        max_new_tokens,
        sampling or Sampling(),
        tuple(stop_ids),
    )
    rows = zip(np.asarray(out), np.asarray(lengths), strict=True)
    return Generated([row[:length].tolist() for row, length in rows], np.asarray(stopped).tolist(), nbytes)


def _checked(model: LmHeadModel, prompts: Sequence[Sequence[int]], max_new_tokens: int) -> int:
    """The length of the longest prompt."""
    if max_new_tokens < 1:
        raise LevgenError(f"max_new_tokens is 1 or more, got {max_new_tokens}")
    if not prompts or not all(prompts):
        raise LevgenError("a prompt needs at least one token", "a model of text begins with a token such as <|bos|>")
    largest = max(max(prompt) for prompt in prompts)
    if largest >= model.vocab_size or min(min(prompt) for prompt in prompts) < 0:
        raise LevgenError(
            f"a prompt has token {largest}, and the model knows 0 to {model.vocab_size - 1}",
            "is the tokenizer that of the model?",
        )
    longest = max(map(len, prompts))
    if longest + max_new_tokens > model.max_length:
        raise LevgenError(
            f"{longest} tokens of prompt and {max_new_tokens} new ones are more than the model's {model.max_length}",
            "shorten the prompt, or generate fewer",
        )
    return longest


@eqx.filter_jit
def _generate(
    model: LmHeadModel,
    tokens: NamedArray,
    visible: NamedArray,
    key: PRNGKeyArray,
    max_new_tokens: int,
    sampling: Sampling,
    stop_ids: tuple[int, ...],
) -> tuple[jax.Array, jax.Array, jax.Array, int]:
    Batch, Pos = tokens.axes
    One = Pos.resize(1)
    stops = jnp.asarray(stop_ids, dtype=jnp.int32)

    def chosen(logits: NamedArray, index: Any) -> jax.Array:
        return sampling.choose(logits, jax.random.fold_in(key, index)).astype(jnp.int32)

    one_by_one = unstacked(model)
    logits, cache = first_step(model, tokens, visible, capacity=Pos.size + max_new_tokens)
    nbytes = cache.nbytes
    first = chosen(logits, 0)
    out = jnp.zeros((Batch.size, max_new_tokens), dtype=jnp.int32).at[:, 0].set(first)
    done = jnp.isin(first, stops)
    lengths = jnp.ones(Batch.size, dtype=jnp.int32)

    def goes_on(state: tuple[Any, ...]) -> jax.Array:
        index, *_, done = state
        going: jax.Array = (index < max_new_tokens) & ~done.all()
        return going

    def step(state: tuple[Any, ...]) -> tuple[Any, ...]:
        index, last, cache, out, lengths, done = state
        logits, cache = next_step(one_by_one, hax.named(last[:, None], (Batch, One)), cache)
        new = chosen(logits, index)
        out = out.at[:, index].set(jnp.where(done, 0, new))
        return index + 1, new, cache, out, lengths + ~done, done | jnp.isin(new, stops)

    start: tuple[Any, ...] = (jnp.asarray(1), first, cache, out, lengths, done)
    *_, out, lengths, done = jax.lax.while_loop(goes_on, step, start)
    return out, lengths, done, nbytes
