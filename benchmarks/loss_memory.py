"""The memory that the loss takes over a vocabulary of 128k, with its gradients: what the compiler plans for."""

from collections.abc import Callable
from functools import partial
from typing import Any

import haliax as hax
import jax
import jax.numpy as jnp
from haliax import Axis

from benchmarks.plain_llama import cross_entropy
from benchmarks.table import Amounts, Row
from levgen.runtime.loss import next_token_loss

Shapes = tuple[int, int, int, int]  # batch, position, embed, vocab
FULL: Shapes = (8, 1024, 512, 128 * 1024)
QUICK: Shapes = (2, 16, 8, 256)
BLOCKS, WHOLE = "levgen's loss, in blocks", "plain JAX, all logits at once"


def run(*, quick: bool) -> list[Amounts]:
    """One table. Nothing is computed, so that the machine need not have the memory."""
    batch, length, _, vocab = shapes = QUICK if quick else FULL
    logits = batch * length * vocab * 4
    losses: dict[str, Callable[..., jax.Array]] = {
        BLOCKS: partial(_in_blocks, shapes),
        WHOLE: lambda head, hidden, tokens: cross_entropy(hidden @ head.T, tokens),
    }
    rows = [Row("the logits", logits / 1e6)]
    for name, loss in losses.items():
        planned = _temporary(loss, shapes)
        rows.append(Row(name, planned / 1e6, planned / logits, "the logits"))
    notes = ["What the loss and its gradients need beside their arguments and results."]
    return [Amounts(f"Loss of {batch} x {length} tokens over {vocab} classes, fp32", "MB", rows, notes)]


def _in_blocks(shapes: Shapes, head: jax.Array, hidden: jax.Array, tokens: jax.Array) -> jax.Array:
    Batch, Pos, Embed, Vocab = map(Axis, ("batch", "position", "embed", "vocab"), shapes)
    weight = hax.named(head, (Vocab, Embed))
    loss: Any = next_token_loss(
        hax.named(hidden, (Batch, Pos, Embed)),
        lambda states: hax.dot(states, weight, axis=Embed),
        hax.named(tokens, (Batch, Pos)),
        Vocab=Vocab,
    )
    return loss.array  # type: ignore[no-any-return]


def _temporary(loss: Callable[..., jax.Array], shapes: Shapes) -> int:
    """Bytes beside the arguments and the results: the head {vocab, embed}, the states, and gradients of both."""
    batch, length, embed, vocab = shapes
    head = jax.ShapeDtypeStruct((vocab, embed), jnp.float32)
    hidden = jax.ShapeDtypeStruct((batch, length, embed), jnp.float32)
    tokens = jax.ShapeDtypeStruct((batch, length), jnp.int32)
    compiled = jax.jit(jax.value_and_grad(loss, argnums=(0, 1))).lower(head, hidden, tokens).compile()
    return int(compiled.memory_analysis().temp_size_in_bytes)
