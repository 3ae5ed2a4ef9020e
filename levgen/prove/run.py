"""A run of `levgen prove`: what is climbed, what is printed, what is written."""

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from levgen.errors import LevgenError
from levgen.prove.bench import Bench
from levgen.prove.diagnose.divergence import Divergence
from levgen.prove.ladder import AROUND, LADDER, MUTATIONS, Climbed, Rung, chosen, climb, rung_named
from levgen.prove.outcome import Status, failed, skipped
from levgen.prove.state import State, read_state, versions, write_state
from levgen.prove.subject import BrokenModelError, Files, load_subject, stubs_of
from levgen.prove.terminal import Ladder, print_details, print_divergence, verdict


@dataclass(frozen=True)
class Request:
    """What the user asked for."""

    files: Files
    rungs: Sequence[Rung]
    checkpoint: Path | None = None
    mutate: bool = False
    verify: bool = False
    report: Path | None = None
    json: bool = False


def run(request: Request) -> int:
    """Climbs, prints, writes the record; the exit code."""
    before = read_state(request.files)
    rungs = _stale(request, before) if request.verify else request.rungs
    if not rungs:
        return _nothing_to_do(request, before)
    console = Console(highlight=False, stderr=request.json)
    try:
        subject = load_subject(request.files)
    except BrokenModelError as error:
        divergence, steps = None, _unimportable(rungs, error, console)
    else:
        bench = Bench(subject, checkpoint=request.checkpoint)
        if subject.stubs and all(rung in rungs for rung in LADDER):
            rungs = [*rungs, AROUND]
        _quieten(bench)
        steps = list(_climb(bench, rungs, console, mutate=request.mutate))
        divergence = _divergence(bench, steps)
    state = before.updated(steps, request.files)
    recorded = write_state(request.files, state)
    if request.report is not None:
        from levgen.prove.report.page import render_page

        request.report.write_text(render_page(request.files, steps, state, divergence), encoding="utf-8")
    if request.json:
        print(json.dumps(_as_data(request, steps, state, divergence), indent=2))
    else:
        print_details(console, steps)
        if divergence is not None:
            print_divergence(console, divergence)
        console.print(f"\n{verdict(steps, state.levels()[-1])}", markup=False)
        stubs = stubs_of(request.files)
        if stubs:
            console.print(f"to be written: {', '.join(stubs)}; what needs a stub was not compared", markup=False)
        if not recorded:
            console.print(f"{request.files.name} has no record in .levgen: the result was not kept", markup=False)
    unwritten = bool(stubs_of(request.files))
    return 1 if unwritten or any(step.outcome.status is Status.FAILED for step in steps) else 0


def _climb(bench: Bench, rungs: Sequence[Rung], console: Console, *, mutate: bool) -> Iterator[Climbed]:
    with Ladder(console) as ladder:
        broken = False
        for step in climb(bench, rungs, before=ladder.starts):
            ladder.ends(step)
            broken |= step.outcome.status is Status.FAILED
            yield step
        if mutate:
            ladder.starts(MUTATIONS)
            step = _mutations(bench, ladder, broken=broken)
            ladder.ends(step)
            yield step


def _mutations(bench: Bench, ladder: Ladder, *, broken: bool) -> Climbed:
    started = time.perf_counter()
    if broken:
        outcome = skipped("a rung failed: faults are seeded into a model that is right")
    elif bench.missing:
        outcome = skipped(bench.missing)
    else:
        from levgen.prove.mutate.run import seeded_faults

        outcome = seeded_faults(bench.subject, ladder.says, ladder.finds)
    return Climbed(MUTATIONS, outcome, time.perf_counter() - started)


def _unimportable(rungs: Sequence[Rung], error: LevgenError, console: Console) -> list[Climbed]:
    """The steps of a model that can't be imported: nothing else can be said of it."""
    first = rung_named("imports")
    steps = [Climbed(first, failed(error.message), 0.0)]
    steps += [Climbed(rung, skipped("imports failed"), 0.0) for rung in rungs if rung is not first]
    with Ladder(console) as ladder:
        for step in steps:
            ladder.ends(step)
    return steps


def _stale(request: Request, state: State) -> list[Rung]:
    """The rungs that the record has no result of, or one about other files or versions, with those that they need."""
    stale = state.stale(request.files)
    names = [rung.name for rung in request.rungs if rung.name in stale or rung.name not in state.rungs]
    if request.checkpoint is None:
        names = [name for name in names if name != "checkpoint" or name not in state.rungs]
    return chosen(names) if names else []


def _nothing_to_do(request: Request, state: State) -> int:
    if request.json:
        print(json.dumps(_as_data(request, [], state), indent=2))
    else:
        print(f"{request.files.name}: nothing is stale; {' > '.join(state.levels())}")
    return 1 if any(result.get("status") == Status.FAILED for result in state.rungs.values()) else 0


def _divergence(bench: Bench, steps: list[Climbed]) -> Divergence | None:
    """Where the model first goes wrong, if a rung that compares it says that it does."""
    if bench.missing or all(step.outcome.status is not Status.FAILED for step in steps):
        return None
    from levgen.prove.diagnose.investigate import investigate

    return investigate(bench, steps)


def _as_data(
    request: Request, steps: Sequence[Climbed], state: State, divergence: Divergence | None = None
) -> dict[str, Any]:
    return {
        "model": request.files.name,
        "status": state.levels()[-1],
        "levels": state.levels(),
        "stubs": stubs_of(request.files),
        "files": request.files.hashes(),
        "versions": versions(),
        "rungs": [
            {
                "name": step.rung.name,
                "status": str(step.outcome.status),
                "figure": step.outcome.figure,
                "reason": step.outcome.reason,
                "details": list(step.outcome.details),
                "seconds": round(step.seconds, 2),
            }
            for step in steps
        ],
        "divergence": divergence.as_data() if divergence else None,
    }


def _quieten(bench: Bench) -> None:
    """Keeps transformers' notes on tiny configs and its progress bars out of the table."""
    if bench.missing:
        return
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
