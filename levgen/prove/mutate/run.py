"""`levgen prove --mutate`: every fault of the catalogue is seeded into the source, and the tests must notice it."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from levgen.errors import LevgenError
from levgen.prove.mutate.equivalence import Comparison
from levgen.prove.mutate.find import mutations
from levgen.prove.mutate.kill import Suite
from levgen.prove.mutate.operator import Mutation
from levgen.prove.outcome import Outcome, failed, passed, skipped
from levgen.prove.subject import Subject

# Compiled code of models that are gone would fill the memory, and the mappings that a process may have. How much there
# is goes with the time that it took to compile, not with the faults: one may fail the first test, or the last.
_CLEAR_AFTER_SECONDS = 60.0


@dataclass(frozen=True)
class Survivor:
    """A fault that no test noticed. `changes`: what it changes of the function; None where nothing was found."""

    mutation: Mutation
    diff: str
    changes: str | None

    @property
    def verdict(self) -> str:
        """What became of it, on one line."""
        verdict = "equivalent on everything tried" if self.changes is None else f"not noticed: {self.changes}"
        return f"{self.mutation.name}: {verdict}"

    @property
    def told(self) -> str:
        """The verdict and the diff."""
        return f"{self.verdict}\n{self.diff}"


def _silent(text: str) -> None:
    pass


def seeded_faults(
    subject: Subject, progress: Callable[[str], None] = _silent, survived: Callable[[str], None] = _silent
) -> Outcome:
    """Seeds them one by one. Passed where the tests notice all that change the function.

    progress, survived: are told which fault is being tried, and what becomes of each that no test notices.
    """
    import jax

    source = subject.source
    found = mutations(source)
    progress(f"the tests of {subject.files.name} without a fault")
    try:
        tests = Suite(subject.files, source)
    except LevgenError as error:
        return failed(error.message)
    if not tests.count:
        return skipped(f"{subject.files.shown(subject.files.tests)} has no test that runs here")
    noticed: Counter[str] = Counter()
    survivors: list[Survivor] = []
    unedited = Comparison(subject)
    cleared = time.monotonic()
    for number, mutation in enumerate(found, 1):
        progress(f"{number} of {len(found)}: {mutation.name}; {len(survivors)} not noticed")
        edited = mutation.applied(source)
        verdict = tests.verdict(edited, mutation.kind)
        if verdict.test is None:
            path = subject.files.shown(subject.files.model)
            survivors.append(Survivor(mutation, mutation.diff(source, path), unedited.change(edited)))
            survived(survivors[-1].verdict)
        else:
            noticed[verdict.test] += 1
        # What a survivor is compared by compiles as much as the tests of many.
        if verdict.test is None or time.monotonic() - cleared > _CLEAR_AFTER_SECONDS:
            jax.clear_caches()
            cleared = time.monotonic()
    return _outcome(found, noticed, survivors)


def _outcome(found: list[Mutation], noticed: Counter[str], survivors: list[Survivor]) -> Outcome:
    alive = [survivor for survivor in survivors if survivor.changes is not None]
    equivalent = len(survivors) - len(alive)
    figure = f"{noticed.total()} of {len(found) - equivalent} faults noticed"
    if equivalent:
        figure += f", {equivalent} more change nothing that was tried"
    operators = len({mutation.operator.name for mutation in found})
    figure += f" ({operators} operators)"
    details = tuple(survivor.told for survivor in [*alive, *(s for s in survivors if s.changes is None)])
    data: Mapping[str, Any] = {
        "noticed_by": dict(noticed.most_common()),
        "survivors": [{"name": s.mutation.name, "diff": s.diff, "changes": s.changes} for s in survivors],
    }
    if alive:
        return failed(f"{len(alive)} not noticed: {alive[0].mutation.name}", figure, details=details, data=data)
    return passed(figure, details=details, data=data)
