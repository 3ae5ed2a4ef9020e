"""Config fields that hold one entry a layer, written out or as runs: `[[["global", "local"], 12]]` is 24 layers."""

from typing import Any


def is_runs(value: Any) -> bool:
    """Whether `value` is a list of (pattern, number of times)."""
    return (
        isinstance(value, list | tuple)
        and bool(value)
        and all(
            isinstance(run, list | tuple)
            and len(run) == 2
            and isinstance(run[0], list | tuple)
            and isinstance(run[1], int)
            for run in value
        )
    )


def expanded(value: Any) -> list[Any]:
    """`value` with one entry a layer."""
    if not is_runs(value):
        return list(value)
    return [entry for pattern, times in value for _ in range(times) for entry in pattern]


def shortened(value: Any, depth: int) -> list[Any]:
    """Runs like those of `value` for about `depth` layers."""
    pattern = list(value[0][0])
    return [[pattern, max(1, depth // len(pattern))]]
