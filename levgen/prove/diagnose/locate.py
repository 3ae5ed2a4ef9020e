"""The first module whose inputs agree with the reference's and whose output doesn't."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from levgen.prove.diagnose.describe import seen_in
from levgen.prove.diagnose.segments import Segment, is_above, segments
from levgen.prove.outcome import MODULE
from levgen.prove.trace.align import Pair, layer_of
from levgen.prove.trace.event import EMBEDDINGS, HIDDEN


@dataclass(frozen=True)
class Place:
    """Where it goes wrong.

    owner: the class of the model's file that is at fault. path: the name in the reference. seen: how it shows.
    watch: the event whose output tells whether an edit mends it. layers: those to run for that; None is all.
    error: of that output, before any edit. about: kinds of causes that it suggests.
    """

    owner: str
    path: str
    seen: str
    watch: str
    layers: tuple[int, ...] | None
    error: float
    about: tuple[str, ...] = ()


def locate(pairs: Sequence[Pair], stack: str, classes: Collection[str], bound: float = MODULE) -> Place | None:
    """The place in a run that starts each piece from the reference's values; None where every piece agrees.

    classes: the names of the classes that the model's file defines.
    """
    for segment in segments(pairs, stack):
        if segment.differs(bound):
            return _inside(segment, pairs, stack, classes, bound)
    return None


def _inside(segment: Segment, pairs: Sequence[Pair], stack: str, classes: Collection[str], bound: float) -> Place:
    whole = segment.whole
    culprits = [pair for pair in segment.inside if _is_at_fault(pair, bound) and not is_above(pair.ours.path, stack)]
    # The innermost: what holds another culprit only passes on what that one did.
    innermost = [pair for pair in culprits if not any(_holds(pair, other) for other in culprits if other is not pair)]
    found = min(innermost, key=lambda pair: pair.ours.started, default=whole)
    inside = [pair for pair in segment.inside if found is whole or _holds(found, pair)]
    owner = _owner(found, segment, pairs, stack, classes)
    path = found.ours.path if found.theirs is not None else whole.ours.path
    # How a reference divides the work between tables and a scale is its own affair: what they make together counts.
    together = whole.ours.path == EMBEDDINGS
    layer = layer_of(whole.ours.path, stack)
    seen, about = seen_in(found, inside, bound)
    return Place(
        owner,
        path,
        seen,
        watch=EMBEDDINGS if together else found.ours.path,
        layers=() if together else None if layer is None else (layer,),
        error=_error(whole if together else found),
        about=about,
    )


def _error(pair: Pair) -> float:
    return pair.outputs if pair.outputs is not None else float("inf")


def _is_at_fault(pair: Pair, bound: float) -> bool:
    return pair.outputs is not None and pair.outputs > bound and pair.worst_input <= bound


def _holds(outer: Pair, inner: Pair) -> bool:
    return outer.ours.started < inner.ours.started and inner.ours.ended <= outer.ours.ended


def _owner(found: Pair, segment: Segment, pairs: Sequence[Pair], stack: str, classes: Collection[str]) -> str:
    ours = found.ours
    if ours.path == EMBEDDINGS:
        made = [pair.ours.class_name for pair in segment.inside if pair.ours.ended < ours.started]
        return next((name for name in made if name in classes), pairs[0].ours.owner)
    if ours.path == HIDDEN:
        return next((pair.ours.owner for pair in pairs if layer_of(pair.ours.path, stack) is not None), ours.owner)
    return ours.class_name if ours.class_name in classes else ours.owner
