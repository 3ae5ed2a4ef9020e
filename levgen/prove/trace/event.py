"""One call of a module: what went in and what came out, laid out alike on both sides."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from haliax import NamedArray

Array = np.ndarray[Any, Any]

# Names of events that are no modules of the reference's tree.
EMBEDDINGS, HIDDEN, LOGITS, ATTENTION = "<embeddings>", "<hidden>", "<logits>", "<attention>"


@dataclass(frozen=True)
class Value:
    """A tensor {batch, position, everything else}, flat beyond the position.

    axes: names and sizes of what is flat, where they are known.
    """

    array: Array
    axes: tuple[tuple[str, int], ...] = ()


@dataclass
class Event:
    """A call. `path`: the module's name in the reference. `owner`: the class whose field it is, `field` that field.

    parent: the index of the call that this one is inside of, in the trace; None at the top.
    """

    path: str
    owner: str
    field: str
    class_name: str
    parent: int | None
    inputs: tuple[Value, ...] = ()
    outputs: tuple[Value, ...] = ()
    started: int = 0
    ended: int = 0
    mask: Array | None = None  # of attention: {batch, position, key_position} bool


@dataclass
class Trace:
    """The calls of one run, in the order in which they began, and what stopped it, if anything did."""

    events: list[Event] = field(default_factory=list)
    error: Exception | None = None
    stack: tuple[int, ...] = ()  # the calls that were running when it stopped

    def at(self, path: str, time: int = 0) -> Event | None:
        """The `time`th call at `path`, counted from 0."""
        found = [event for event in self.events if event.path == path]
        return found[time] if time < len(found) else None


def named_value(x: NamedArray, batch: int, length: int) -> Value | None:
    """A named array of ours as a value; None where it has no position."""
    names = [axis.name for axis in x.axes]
    if "position" not in names:
        return None
    rest = [axis for axis in x.axes if axis.name not in ("batch", "position")]
    first = [name for name in ("batch", "position") if name in names]
    array = np.asarray(x.rearrange((*first, *(axis.name for axis in rest))).array)
    if "batch" not in names:
        array = np.broadcast_to(array, (batch, *array.shape))
    return Value(array.reshape(batch, length, -1), tuple((axis.name, axis.size) for axis in rest))


def plain_value(array: Array, batch: int, length: int) -> Value | None:
    """A tensor of the reference as a value; None where it has no position.

    References lay heads before or after positions, and some flatten batch and position.
    """
    shape = array.shape
    if shape[:1] == (batch,) and length in shape[1:]:
        moved = np.moveaxis(array, 1 + shape[1:].index(length), 1)
        return Value(moved.reshape(batch, length, -1))
    if shape[:1] == (1,) and length in shape[1:]:
        return plain_value(np.repeat(array, batch, axis=0), batch, length)
    if shape[:1] == (batch * length,):
        return Value(array.reshape(batch, length, -1))
    if shape[:1] == (length,):
        return Value(np.broadcast_to(array.reshape(1, length, -1), (batch, length, array.size // length)))
    return None
