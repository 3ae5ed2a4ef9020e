"""How two tensors differ, in words: at which positions, along which axes, by how much."""

import dataclasses

import numpy as np

from levgen.prove.outcome import MODULE
from levgen.prove.trace.align import Pair, error
from levgen.prove.trace.event import ATTENTION, Array, Event, Value

_TURNED = ("rope layout", "theta", "rotation", "positions", "order", "missing call")
_ARGUMENTS = ("queries", "keys", "values")


def where(ours: Value, theirs: Value, bound: float = MODULE) -> str:
    """`from position 1 on, only in head_size 8-15 of 16 (by 3.2e-01)`; the shapes where these differ."""
    a, b = ours.array.astype(np.float64), theirs.array.astype(np.float64)
    if a.shape != b.shape:
        return f"in shape: {a.shape[2:]} instead of {b.shape[2:]}"
    beyond = ~(np.abs(a - b) <= bound * np.abs(b).max(initial=0.0))
    told = [_positions(beyond.any(axis=(0, 2)))]
    sizes = [size for _, size in ours.axes]
    if sizes and int(np.prod(sizes)) == a.shape[2]:
        apart = beyond.any(axis=(0, 1)).reshape(sizes)
        for index, (name, size) in enumerate(ours.axes):
            along = apart.any(axis=tuple(other for other in range(len(sizes)) if other != index))
            if not along.all() and along.any():
                told.append(f"only in {name} {_indices(along)} of {size}")
    return f"{', '.join(told)} (by {error(ours.array, theirs.array):.1e})"


def mask_difference(ours: Array, theirs: Array) -> str | None:
    """Which keys are seen on one side only; None where the masks agree."""
    more, less = np.any(ours & ~theirs, axis=0), np.any(theirs & ~ours, axis=0)
    told = []
    extra: Array
    for extra, what in (
        (more, "sees keys that the reference hides"),
        (less, "doesn't see keys that the reference sees"),
    ):
        queries: Array = np.any(extra, axis=1)
        if queries.any():
            first = int(np.argmax(queries))
            keys = _indices(extra[first])
            told.append(f"the query at {first} {what} (key {keys})")
    return ", and ".join(told) or None


def differing_arguments(ours: Event, theirs: Event, bound: float = MODULE) -> str | None:
    """Which of the inputs of a call differ, and where; None where none does."""
    for index, values in enumerate(zip(ours.inputs, theirs.inputs, strict=False)):
        # Experts of a token, and what they weigh, come in any order.
        a, b = values if index == 0 or ours.path.endswith(ATTENTION) else map(_unordered, values)
        if a.array.shape == b.array.shape and error(a.array, b.array) > bound:
            name = _ARGUMENTS[index] if ours.path.endswith(ATTENTION) else f"what `{ours.field}` is given"
            verb = "differ" if ours.path.endswith(ATTENTION) else "differs"
            return f"{name} {verb} {where(a, b, bound)}"
    return None


def seen_in(culprit: Pair, inside: list[Pair], bound: float = MODULE) -> tuple[str, tuple[str, ...]]:
    """What is wrong in a call whose inputs agree, and the kinds of causes that it suggests.

    It is the first thing inside of the call that differs, or else its output.
    """
    for pair in [*inside, culprit]:
        if pair.theirs is None:
            continue
        said = differing_arguments(pair.ours, pair.theirs, bound)
        if said is not None:
            return said, _TURNED if pair.ours.path.endswith(ATTENTION) else ()
        if pair.ours.mask is not None and pair.theirs.mask is not None:
            said = mask_difference(pair.ours.mask, pair.theirs.mask)
            if said is not None:
                return f"its mask differs: {said}", ("mask",)
        if pair.outputs is not None and pair.outputs > bound and pair.ours.path.endswith(ATTENTION):
            said = f"queries, keys, values and mask agree, and what is attended differs {_output(pair, bound)}"
            return said, ("scale", "softcap", "mask")
    name = f"`{culprit.ours.field}`" if culprit.ours.field else "its output"
    return f"the output of {name} differs {_output(culprit, bound)}", ("eps", "norm offset", "bias")


def _unordered(value: Value) -> Value:
    return dataclasses.replace(value, array=np.sort(value.array, axis=2))


def _output(pair: Pair, bound: float) -> str:
    if pair.theirs is None or not pair.ours.outputs or not pair.theirs.outputs:
        return ""
    return where(pair.ours.outputs[0], pair.theirs.outputs[0], bound)


def _positions(beyond: Array) -> str:
    if beyond.all():
        return "at every position"
    first = int(np.argmax(beyond))
    if beyond[first:].all():
        return f"from position {first} on"
    return f"at {int(beyond.sum())} of {beyond.size} positions, first {first}"


def _indices(chosen: Array) -> str:
    """`8-15` for neighbours, `3` for one, `0, 2, 4 ...` else."""
    indices = np.flatnonzero(chosen)
    if len(indices) == 1:
        return str(indices[0])
    if indices[-1] - indices[0] + 1 == len(indices):
        return f"{indices[0]}-{indices[-1]}"
    return ", ".join(map(str, indices[:4])) + (" ..." if len(indices) > 4 else "")
