"""The mean loss over sequences, of each component and of all."""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np

from levgen.training.batches import Ids

EvalStep = Callable[..., tuple[jax.Array, jax.Array]]


def evaluate(
    eval_step: EvalStep, params: Any, components: Mapping[str, Ids], *, batch_size: int, max_batches: int | None
) -> dict[str, float]:
    """`eval_loss`: the loss of `params` in nats a token over `components` {sequence, position}.

    With `max_batches` over that many batches of each. With several components also `eval_loss/<name>`.
    """
    sums = {
        name: _summed(eval_step, params, _padded(sequences, batch_size, max_batches))
        for name, sequences in components.items()
    }
    losses = {f"eval_loss/{name}": loss / weight for name, (loss, weight) in sums.items()} if len(sums) > 1 else {}
    loss, weight = (sum(parts) for parts in zip(*sums.values(), strict=True))
    return {"eval_loss": loss / weight, **losses}


def _summed(eval_step: EvalStep, params: Any, batches: Iterator[Any]) -> tuple[float, float]:
    total, total_weight = 0.0, 0.0
    for batch in batches:
        loss, weight = eval_step(params, *batch)
        # Waits for the batch: simulated devices block each other where several programs run at once.
        total += float(loss)
        total_weight += float(weight)
    return total, total_weight


def _padded(
    sequences: Ids, size: int, max_batches: int | None
) -> Iterator[tuple[Ids, np.ndarray[Any, np.dtype[np.float32]]]]:
    """Batches of one shape and the weight of each row: 0 for those that only fill up the last one."""
    count = math.ceil(len(sequences) / size)
    for number in range(min(count, max_batches or count)):
        places = np.arange(number * size, (number + 1) * size)
        inside = places < len(sequences)
        yield sequences[np.where(inside, places, 0)], inside.astype(np.float32)
