"""What a rung of the ladder returns: passed with its figure, failed with its figure, or skipped with the reason."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

MODULE, MODEL, GRADIENT = 1e-5, 1e-4, 1e-3  # bounds on the relative error max |ours - reference| / max |reference|


class Status(StrEnum):
    """How a rung ended."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Case:
    """What a comparison with the reference was run on.

    config: of both. length: of the random tokens. documents: lengths of the documents that are packed into one
    sequence (they add up to `length`); none is one document. redrawn: what of the tokens is, see `Ported.settling`.
    """

    config: Any
    length: int
    documents: tuple[int, ...] = ()
    redrawn: tuple[tuple[int, ...], ...] = ()


@dataclass(frozen=True)
class Outcome:
    """How one rung ended.

    figure: what was measured. reason: why it failed or was skipped. details: lines that tell more.
    case: where it failed, for the search of the first divergence. data: tables for the report.
    """

    status: Status
    figure: str = ""
    reason: str = ""
    details: tuple[str, ...] = ()
    case: Case | None = None
    data: Mapping[str, Any] = field(default_factory=dict)

    @property
    def line(self) -> str:
        """The figure and the reason, as one line."""
        return "; ".join(text for text in (self.figure, self.reason) if text)


def passed(figure: str, **more: Any) -> Outcome:
    """A rung that holds."""
    return Outcome(Status.PASSED, figure, **more)


def failed(reason: str, figure: str = "", **more: Any) -> Outcome:
    """A rung that doesn't hold."""
    return Outcome(Status.FAILED, figure, reason, **more)


def skipped(reason: str) -> Outcome:
    """A rung that could not run, because of `reason`."""
    return Outcome(Status.SKIPPED, reason=reason)


def measured(errors: Mapping[str, float], bound: float, *, cases: Mapping[str, Case] | None = None) -> Outcome:
    """Passed where every error is at most `bound`; the figure is the worst.

    errors: what was compared -> its relative error. cases: what was compared -> where, for those that have one.
    """
    worst = max(errors, key=lambda name: errors[name])
    many = f" over {len(errors)} comparisons" if len(errors) > 1 else ""
    figure = f"{errors[worst]:.1e}{many}, at most {bound:.0e}"
    beyond = {name: error for name, error in errors.items() if not error <= bound}
    if not beyond:
        return passed(figure)
    first = next(iter(beyond))
    others = f" and {len(beyond) - 1} more" if len(beyond) > 1 else ""
    details = tuple(f"{name}: {error:.2e}" for name, error in beyond.items())
    return failed(f"beyond the bound: {first}{others}", figure, details=details, case=(cases or {}).get(first))
