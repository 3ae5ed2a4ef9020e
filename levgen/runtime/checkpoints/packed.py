"""What formats of few bits share: reading by rows, and saying what is wrong with all tensors at once."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from levgen.runtime.checkpoints.folder import HfCheckpointError

AT_ONCE = 2**20  # elements that are in float32 at a time, for each thread that reads


def in_rows(
    out: np.ndarray[Any, Any], first: int, row: int, at_once: int = AT_ONCE
) -> Iterator[tuple[np.ndarray[Any, Any], int]]:
    """`out` in pieces of whole rows, `row` elements each, with the number of the first element of each piece.

    A piece has about `at_once` elements, or else a single row. first: the number of the first element of `out`, which
    begins and ends at a row.
    """
    inner = math.prod(out.shape[1:])
    if out.size <= at_once or inner % row:
        yield out, first
        return
    step = max(1, at_once // inner)
    for index in range(0, out.shape[0], step):
        part = out[index] if step == 1 else out[index : index + step]
        yield from in_rows(part, first + index * inner, row, at_once)


def refuse(problems: Sequence[str]) -> None:
    """Raises `HfCheckpointError` with all that is wrong with tensors of few bits, if anything is."""
    if problems:
        lines = "".join(f"\n  - {problem}" for problem in problems)
        raise HfCheckpointError(f"{len(problems)} tensors can't be unpacked:{lines}", "Download the checkpoint again.")
