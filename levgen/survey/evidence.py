"""What an answer rests on: the candidate that was chosen, the next best one, and how each did."""

import traceback
from dataclasses import dataclass
from typing import Any

# A candidate stands where it reproduces what was recorded to this relative error, and the next best does much worse.
ACCEPT = 1e-5
MARGIN = 100.0


@dataclass(frozen=True)
class Evidence:
    """One answer: `chosen` at relative `error`, against `runner_up` at `runner_up_error`; `probe`: what was done."""

    question: str
    chosen: Any
    error: float | None = None
    runner_up: Any = None
    runner_up_error: float | None = None
    probe: str = ""


@dataclass(frozen=True)
class Unknown:
    """A question that no candidate answers: what was observed, and where in the reference."""

    question: str
    observed: str
    where: str = ""


class UnresolvedError(Exception):
    """An experiment's result fits no candidate. `observed` says what was seen, not what it might mean."""

    def __init__(self, question: str, observed: str, module: Any = None) -> None:
        super().__init__(f"{question}: {observed}")
        self.unknown = Unknown(question, observed, source_of(module))


def broke_off(error: Exception) -> Unknown:
    """An experiment that broke off, as unknown: a reference does what no experiment expects."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    where = f"{frame.filename.rpartition('site-packages/')[2].rpartition('levgen/')[2]}:{frame.lineno}"
    return Unknown("an experiment that broke off", f"{type(error).__name__}: {error}"[:300], where)


def source_of(module: Any) -> str:
    """`file:line` of a module's class: the file relative to the folder of packages, else its name alone."""
    import inspect
    import os

    if module is None:
        return ""
    try:
        file = inspect.getsourcefile(type(module)) or ""
        _, packages, inner = file.rpartition("site-packages/")
        return f"{inner if packages else os.path.basename(file)}:{inspect.getsourcelines(type(module))[1]}"
    except (OSError, TypeError):
        return ""


def relative(candidate: Any, recorded: Any) -> float:
    """max |candidate - recorded| / max |recorded|, of torch tensors; infinite where a value is not finite."""
    import torch

    difference = (candidate - recorded).abs().max()
    scale = recorded.abs().max()
    if not bool(torch.isfinite(difference)):
        return float("inf")
    return float(difference / scale) if float(scale) else float(difference)


def choose(
    question: str, errors: dict[Any, float], probe: str, *, module: Any = None, accept: float = ACCEPT
) -> Evidence:
    """The candidate of the least error, if it is small and the next one's is not. Raises UnresolvedError otherwise."""
    ranked = sorted(errors.items(), key=lambda item: item[1])
    best, error = ranked[0]
    if not error <= accept:
        tried = ", ".join(f"{name} {value:.1e}" for name, value in ranked[:4])
        raise UnresolvedError(question, f"no candidate reproduces what was recorded: {tried} ({probe})", module)
    runner_up, next_error = ranked[1] if len(ranked) > 1 else (None, None)
    if next_error is not None and next_error < max(error, 1e-12) * MARGIN:
        raise UnresolvedError(
            question, f"{best} ({error:.1e}) and {runner_up} ({next_error:.1e}) can't be told apart", module
        )
    return Evidence(question, best, error, runner_up, next_error, probe)
