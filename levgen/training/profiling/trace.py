"""Reading the trace that jax's profiler writes: how long each operation ran. Needs the standard library only."""

import gzip
import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from levgen.errors import LevgenError

TRACE = "trace.json.gz"


@dataclass(frozen=True)
class OpTime:
    """One operation of the compiled program: its name there, how often it ran and its own microseconds, summed."""

    name: str
    count: int
    microseconds: float


def find_trace(folder: Path) -> Path:
    """The newest trace under `folder`, where jax's profiler has written.

    Raises LevgenError where it has written none.
    """
    traces = sorted(folder.rglob(f"*.{TRACE}"), key=lambda path: path.stat().st_mtime)
    if not traces:
        raise LevgenError(f"jax's profiler has written no *.{TRACE} under {folder}")
    return traces[-1]


def read_operations(trace: Path, module: str) -> list[OpTime]:
    """The operations of the compiled program `module` (such as `jit_run`) in `trace`, the longest first.

    An operation's own time is without that of the operations that run inside it, on the same thread.
    """
    with gzip.open(trace, "rt", encoding="utf-8") as file:
        events = json.load(file)["traceEvents"]
    threads: dict[tuple[int, int], list[dict[str, Any]]] = defaultdict(list)
    for event in events:
        arguments = event.get("args", {})
        if event.get("ph") == "X" and arguments.get("hlo_module") == module and "hlo_op" in arguments:
            threads[event["pid"], event["tid"]].append(event)
    counts: dict[str, int] = defaultdict(int)
    times: dict[str, float] = defaultdict(float)
    for thread in threads.values():
        for name, own in _own_times(thread):
            counts[name] += 1
            times[name] += own
    operations = [OpTime(name, counts[name], times[name]) for name in times]
    return sorted(operations, key=lambda operation: operation.microseconds, reverse=True)


def _own_times(events: Iterable[dict[str, Any]]) -> list[tuple[str, float]]:
    """Of the events of one thread, each with its duration less that of the events directly inside it."""
    own: list[list[Any]] = []
    around: list[tuple[float, int]] = []  # the end of each event that is under way, and its place in `own`
    for event in sorted(events, key=lambda event: (event["ts"], -event.get("dur", 0))):
        start, duration = event["ts"], event.get("dur", 0)
        while around and around[-1][0] <= start:
            around.pop()
        if around:
            own[around[-1][1]][1] -= duration
        around.append((start + duration, len(own)))
        own.append([event["args"]["hlo_op"], duration])
    return [(name, max(0.0, time)) for name, time in own]
