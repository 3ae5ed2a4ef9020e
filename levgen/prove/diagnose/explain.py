"""Why a model differs: the edit of its source that makes it agree says what was wrong."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from levgen.prove.diagnose.divergence import Divergence
from levgen.prove.diagnose.locate import Place
from levgen.prove.diagnose.trial import Trial, bound_of
from levgen.prove.mutate.find import mutations
from levgen.prove.mutate.operator import Mutation

# What a cause means, where the kind says more than the edit.
_SAYS = {
    "rope layout": "the reference pairs the dimensions of a head in the other way",
    "theta": "the rotation is not the one of the config",
    "eps": "the norm's eps is not the reference's",
    "norm offset": "the reference adds another number to the norm's gain",
    "bias": "a bias is there on one side only",
    "transposed weight": "the weight is stored the other way round",
    "softcap": "scores or logits are capped on one side only, or at another value",
    "activation": "the reference has another activation",
    "rotation": "what is rotated differs",
}
# Edits that fit many places: tried after those that say more.
_GENERAL = (
    "number_doubled",
    "number_halved",
    "number_stepped",
    "operation_changed",
    "residual_added",
    "factor_added",
    "value_swapped",
    "size_other",
    "arguments_swapped",
    "tuple_reordered",
    "config_other",
    "axis_other",
    "branch_forced",
    "files_swapped",
)
_ENOUGH = 0.1  # an edit that leaves more than this of the difference explains nothing


@dataclass(frozen=True)
class _Mend:
    """An edit, the error that it leaves where the model went wrong, and in how many cases all else agrees too."""

    mutation: Mutation
    error: float
    agreements: int = 0

    @property
    def rank(self) -> tuple[int, float]:
        return -self.agreements, self.error


def explain(trial: Trial, source: str, place: Place, classes: Sequence[str]) -> Divergence:
    """The divergence at `place`, with its cause if an edit of `source` explains it.

    classes: those that may be at fault, in the order in which they are looked at: the nearest first.
    """
    best: _Mend | None = None
    tried = 0
    for mutation in in_order(source, classes, place.about):
        tried += 1
        edited = mutation.applied(source)
        mend = _Mend(mutation, trial.error(edited, place))
        if mend.error <= bound_of(trial.case):
            mend = replace(mend, agreements=trial.agreements(edited))
        elif not mend.error < _ENOUGH * place.error:
            continue
        if best is None or mend.rank < best.rank:
            best = mend
        if best.agreements == trial.most:
            break
    if best is None:
        return Divergence(place.owner, place.path, place.seen, tried=tried)
    share = _share(best.error, place.error, bound_of(trial.case))
    return mended(place, best.mutation, source, explained=share, tried=tried)


def in_order(source: str, classes: Sequence[str], about: Sequence[str] = ()) -> list[Mutation]:
    """The edits of `classes`: those of the kinds `about` first, then class by class, those that say most first."""
    found = [mutation for mutation in mutations(source, exhaustive=True) if mutation.owner in classes]
    return sorted(found, key=lambda m: (m.kind not in about, classes.index(m.owner), m.operator.name in _GENERAL))


def mended(place: Place, mutation: Mutation, source: str, *, explained: float, tried: int) -> Divergence:
    """The divergence that `mutation` mends."""
    seen = place.seen if mutation.owner == place.owner else f"in {place.owner}, {place.seen}"
    return Divergence(
        mutation.owner,
        place.path,
        seen,
        cause=f"{mutation.kind}: {_SAYS.get(mutation.kind, mutation.operator.mends)}",
        kind=mutation.kind,
        explained=explained,
        line=mutation.line,
        edit=mutation.lines(source),
        tried=tried,
    )


def first_that(found: Iterable[Mutation], mends: Callable[[str], bool], source: str) -> tuple[Mutation | None, int]:
    """The first edit of which `mends` says yes, and how many were tried."""
    tried = 0
    for mutation in found:
        tried += 1
        if mends(mutation.applied(source)):
            return mutation, tried
    return None, tried


def _share(after: float, before: float, bound: float) -> float:
    if after <= bound:
        return 1.0
    return 1.0 - after / before if before not in (0.0, float("inf")) else 0.0


def chain(module_classes: dict[str, dict[str, str]], owner: str) -> Iterator[str]:
    """`owner`, the classes that hold it, those that hold these, and last all that hold nothing of it but set things.

    module_classes: name -> the annotations of its fields.
    """
    seen = [owner]
    yield owner
    for name in seen:
        for other, fields in module_classes.items():
            if other not in seen and any(name in annotation for annotation in fields.values()):
                seen.append(other)
                yield other
