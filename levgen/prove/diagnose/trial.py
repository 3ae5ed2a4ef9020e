"""Trying an edit of a model: does what was wrong agree with the reference then?"""

import contextlib
import dataclasses
import sys
from collections.abc import Iterator
from typing import Any

from levgen.prove.bench import LENGTH, inputs
from levgen.prove.diagnose.locate import Place
from levgen.prove.diagnose.segments import segments
from levgen.prove.outcome import MODEL, MODULE, Case
from levgen.prove.subject import Files, run_source
from levgen.prove.trace.align import Guide, compare, guide, pairs
from levgen.prove.trace.ours import our_trace
from levgen.runtime.testing import load_from_torch

_LONG = 256  # beyond, angles of positions cost a digit
_DOCUMENTS = (24, 40)


def bound_of(case: Case) -> float:
    """What may be between the two sides in a module alone."""
    return MODULE if case.length <= _LONG else MODEL


class Trial:
    """The reference of a failing case, and how an edited source compares with it."""

    def __init__(self, files: Files, reference: Any, case: Case, stack: str) -> None:
        self.files, self.reference, self.case, self.stack = files, reference, case, stack
        self.led = guide(reference, case, stack)
        self._more: list[tuple[Case, Guide]] | None = None

    def error(self, source: str, place: Place) -> float:
        """The error of what `place` watches, with `source`; infinite where it can't be run, or isn't reached."""
        try:
            with standing_in(self.files, source) as (module, model):
                trace = our_trace(
                    self._loaded(model),
                    module,
                    inputs(self.case),
                    feed=self.led.feed,
                    only=place.layers,
                    head=self.led.head,
                )
                if trace.error is not None:
                    return float("inf")
                for pair in pairs(trace, self.led):
                    if pair.ours.path == place.watch and pair.outputs is not None:
                        return pair.outputs if pair.worst_input <= bound_of(self.case) else float("inf")
        except Exception:
            return float("inf")
        return float("inf")

    def agreements(self, source: str) -> int:
        """How many cases agree in every piece of the run: the failing one, and packed documents."""
        if self._more is None:
            packed = dataclasses.replace(self.case, length=LENGTH, documents=_DOCUMENTS)
            others = [] if self.case.documents else [packed]
            self._more = [(self.case, self.led), *((case, guide(self.reference, case, self.stack)) for case in others)]
        return sum(self._agrees(source, case, led) for case, led in self._more)

    @property
    def most(self) -> int:
        """The number of agreements that leaves nothing to be explained."""
        return 1 if self.case.documents else 2

    def _agrees(self, source: str, case: Case, led: Guide) -> bool:
        try:
            with standing_in(self.files, source) as (module, model):
                found = compare(self._loaded(model), module, case, led)
                return not any(segment.differs(bound_of(case)) for segment in segments(found, self.stack))
        except Exception:
            return False

    def _loaded(self, model: Any) -> Any:
        return load_from_torch(model, self.reference)


@contextlib.contextmanager
def standing_in(files: Files, source: str) -> Iterator[tuple[Any, Any]]:
    """While it lasts, `source` stands for the model's module: gives the module, and its class with a head."""
    before = sys.modules.get(files.module_name)
    try:
        module = run_source(files, source)
        yield module, _model_class(module)
    finally:
        if before is not None:
            sys.modules[files.module_name] = before


def _model_class(module: Any) -> Any:
    from levgen.runtime import LmHeadModel

    return next(
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, LmHeadModel) and value.__module__ == module.__name__
    )
