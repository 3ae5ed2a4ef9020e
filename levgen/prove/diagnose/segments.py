"""The pieces of a run that start from the reference's values, and the modules in each that are at fault."""

from collections.abc import Sequence
from dataclasses import dataclass

from levgen.prove.outcome import MODULE
from levgen.prove.trace.align import Pair, layer_of
from levgen.prove.trace.event import EMBEDDINGS, HIDDEN, LOGITS


@dataclass(frozen=True)
class Segment:
    """One piece. `whole`: the pair whose output is the piece's. `inside`: the calls that it is made of."""

    whole: Pair
    inside: tuple[Pair, ...]

    def differs(self, bound: float = MODULE) -> bool:
        """Whether what it puts out is not the reference's."""
        return not (self.whole.outputs is None or self.whole.outputs <= bound)


def segments(pairs: Sequence[Pair], stack: str) -> list[Segment]:
    """The embeddings, each layer, what comes after the layers, and the head, in the order in which they run."""
    found: list[Segment] = []
    before: list[Pair] = []
    for pair in pairs:
        ours = pair.ours
        if ours.path == EMBEDDINGS:
            found.append(Segment(pair, tuple(before)))
        elif _is_layer(ours.path, stack):
            found.append(Segment(pair, tuple(p for p in pairs if ours.started < p.ours.started <= ours.ended)))
        elif ours.path in (HIDDEN, LOGITS):
            found.append(Segment(pair, ()))
        elif layer_of(ours.path, stack) is None:
            if not found:
                before.append(pair)
            elif not is_above(ours.path, stack):
                found.append(Segment(pair, ()))
    return found


def modules_alone(pairs: Sequence[Pair], stack: str) -> list[Pair]:
    """The pairs that say something about a module by itself.

    Left out are those whose inputs differ, and those whose output differs though their piece of the run gives what the
    reference's gives: the work is divided in another way there (a scale inside of an embedding, or after it).
    """
    alone = []
    for segment in segments(pairs, stack):
        whole = segment.differs()
        for pair in (*segment.inside, segment.whole):
            fits = pair.outputs is not None and pair.worst_input <= MODULE and not is_above(pair.ours.path, stack)
            if fits and pair.outputs is not None and (whole or pair.outputs <= MODULE):
                alone.append(pair)
    return alone


def _is_layer(path: str, stack: str) -> bool:
    return layer_of(path, stack) is not None and path.count(".") == stack.count(".") + 1


def is_above(path: str, stack: str) -> bool:
    """Whether the reference's module at `path` holds the layers: ours of that name is another cut of the tree."""
    return stack.startswith(f"{path}.") or path == ""
