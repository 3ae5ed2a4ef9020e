"""The mean loss over a set of sequences."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from levgen.training.batches import Ids

EvalStep = Callable[..., tuple[jax.Array, jax.Array]]


def mean_loss(eval_step: EvalStep, params: Any, sequences: Ids, *, batch_size: int, max_batches: int | None) -> float:
    """The loss of `params` in nats a token over `sequences` {sequence, position}, or over their first `max_batches`."""
    sums = [eval_step(params, *batch) for batch in _padded(sequences, batch_size, max_batches)]
    return float(sum(loss for loss, _ in sums) / sum(weight for _, weight in sums))


def _padded(
    sequences: Ids, size: int, max_batches: int | None
) -> Iterator[tuple[Ids, np.ndarray[Any, np.dtype[np.float32]]]]:
    """Batches of one shape and the weight of each row: 0 for those that only fill up the last one."""
    count = math.ceil(len(sequences) / size)
    for number in range(min(count, max_batches or count)):
        places = np.arange(number * size, (number + 1) * size)
        inside = places < len(sequences)
        yield sequences[np.where(inside, places, 0)], inside.astype(np.float32)
