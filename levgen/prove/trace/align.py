"""Putting the two runs side by side: which of our calls is which of the reference's, and how far they are apart."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from levgen.prove.bench import inputs
from levgen.prove.outcome import Case
from levgen.prove.trace.event import ATTENTION, EMBEDDINGS, HIDDEN, LOGITS, Array, Event, Trace, Value
from levgen.prove.trace.ours import our_trace
from levgen.prove.trace.theirs import reference_trace


@dataclass(frozen=True)
class Pair:
    """One of our calls beside the reference's. An error is None where there is nothing that could be compared.

    position: of the outputs, the error at each position.
    """

    ours: Event
    theirs: Event | None
    inputs: float | None
    outputs: float | None

    @property
    def worst_input(self) -> float:
        return self.inputs or 0.0


@dataclass(frozen=True)
class Guide:
    """What our run is led by: the reference's trace, its hidden states where ours is fed, and what enters the head, or
    the transform before it."""

    trace: Trace
    feed: Mapping[str, Array]
    head: Array | None

    def expected(self, path: str, time: int = 0) -> Event | None:
        """The reference's event for one of ours, which is called there for the `time`th time, counted from 0.

        What enters the first layer stands for the embeddings.
        """
        if path == EMBEDDINGS:
            first = self.trace.at(next(iter(self.feed), ""))
            return first and Event(path, "", "", "", None, outputs=first.inputs[:1])
        if path == HIDDEN:
            return None if self.head is None else Event(path, "", "", "", None, outputs=(Value(self.head),))
        return self.trace.at(path, time)


def guide(reference: Any, case: Case, stack: str) -> Guide:
    """The guide of a case. `stack`: the name of the stack of layers in the reference."""
    trace = reference_trace(reference, case)
    feed = {}
    after = False
    for event in trace.events:
        prefix, _, number = event.path.rpartition(".")
        if prefix == stack and number.isdigit():
            feed[event.path] = event.inputs[0].array
            after = True
        elif after and event.inputs and not event.path.startswith(f"{stack}.") and event.path != LOGITS:
            feed.setdefault(event.path, event.inputs[0].array)
    head = getattr(reference, "get_output_embeddings", lambda: None)()
    name = next((name for name, module in reference.named_modules() if module is head), None)
    entry = _after_the_model(reference, trace, stack) if name is not None else None
    entry = trace.at(name) if entry is None and name is not None else entry
    if name is not None:
        feed.pop(name, None)
    return Guide(trace, feed, entry.inputs[0].array if entry and entry.inputs else None)


def _after_the_model(reference: Any, trace: Trace, stack: str) -> Event | None:
    """The first call, beside that of the module which holds the layers, of one with parameters: of the head, or of what
    stands before it. None where the reference holds its layers itself."""
    holder, dot, _ = stack.partition(".")
    held = {name.partition(".")[0] for name, _ in reference.named_parameters(remove_duplicate=False)}
    paths = [event.path for event in trace.events]
    if not dot or holder not in paths:
        return None
    later = trace.events[paths.index(holder) + 1 :]
    return next((event for event in later if event.path in held - {holder}), None)


def compare(model: Any, module: Any, case: Case, led: Guide, *, only: Any = None, fed: bool = True) -> list[Pair]:
    """Every call of ours beside the reference's, in our order. With `fed`, each layer starts from its values.

    Raises whatever our model raises.
    """
    trace = our_trace(
        model,
        module,
        inputs(case),
        feed=led.feed if fed else None,
        only=only,
        head=led.head if fed else None,
    )
    if trace.error is not None:
        raise trace.error
    return pairs(trace, led)


def pairs(trace: Trace, led: Guide) -> list[Pair]:
    """The calls of `trace` beside those of the reference."""
    times: Counter[str] = Counter()
    found = []
    for event in trace.events:
        found.append(_pair(event, _up_to_ours(event, led.expected(event.path, times[event.path]), trace, led)))
        times[event.path] += 1
    return found


def _up_to_ours(ours: Event, theirs: Event | None, trace: Trace, led: Guide) -> Event | None:
    """`theirs` without what the reference does in that module, and we do beside it, after `ours`: such as a norm."""
    after = [
        event
        for event in trace.events
        if event.path.startswith(f"{ours.path}.") and event.parent == ours.parent and event.started > ours.ended
    ]
    entered = led.expected(after[0].path) if after else None
    return theirs if theirs is None or entered is None else replace(theirs, outputs=entered.inputs[:1])


def _pair(ours: Event, theirs: Event | None) -> Pair:
    if theirs is None:
        return Pair(ours, None, None, None)
    # A module's first input is its hidden states; what follows (masks, positions) is told in other ways on each side.
    count = None if ours.path.endswith(ATTENTION) else 1
    return Pair(
        ours, theirs, difference(ours.inputs[:count], theirs.inputs[:count]), difference(ours.outputs, theirs.outputs)
    )


def difference(ours: tuple[Value, ...], theirs: tuple[Value, ...]) -> float | None:
    """The worst relative error of values in the same place; None where none has its counterpart."""
    errors = [error(a.array, b.array) for a, b in zip(ours, theirs, strict=False) if a.array.shape == b.array.shape]
    return max(errors, default=None)


def error(ours: Array, theirs: Array) -> float:
    """max |ours - theirs| / max |theirs|; infinite for a NaN."""
    wide, scale = ours.astype(np.float64), float(np.abs(theirs).max(initial=0.0))
    worst = float(np.abs(wide - theirs).max(initial=0.0))
    if not np.isfinite(worst):
        return float("inf")
    return worst / scale if scale else (0.0 if worst == 0 else float("inf"))


def layer_of(path: str, stack: str) -> int | None:
    """The number of the layer that `path` lies in."""
    head, _, _ = path.removeprefix(f"{stack}.").partition(".")
    return int(head) if path.startswith(f"{stack}.") and head.isdigit() else None


def stack_of(model: Any) -> str:
    """The name of the stack of layers in the reference, from our names of tensors."""
    from levgen.runtime.checkpoints.names import hf_tensors

    for tensor in hf_tensors(model, in_files=False):
        steps = tensor.name.split(".")
        numbers = [index for index, step in enumerate(steps) if step.isdigit()]
        if tensor.index and numbers:
            return ".".join(steps[: numbers[0]])
    return ""
