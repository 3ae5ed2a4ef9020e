"""Timing several things against each other on a machine that is not quiet."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rich.console import Console
from rich.progress import track


@dataclass(frozen=True)
class Runner:
    """Something to time: `run` is timed, and `prepare` is called before each run, untimed."""

    run: Callable[[], object]
    prepare: Callable[[], object] = lambda: None


@dataclass(frozen=True)
class Timing:
    """Wall time of one runner, in seconds, one for each round."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def fastest(self) -> float:
        return min(self.seconds)

    @property
    def slowest(self) -> float:
        return max(self.seconds)

    def ratio_to(self, other: "Timing") -> float:
        """The median of the ratios round by round: a load that comes and goes slows both of a pair."""
        return statistics.median(ours / theirs for ours, theirs in zip(self.seconds, other.seconds, strict=True))


def interleaved(what: str, runners: Mapping[str, Runner], rounds: int) -> dict[str, Timing]:
    """Every runner once a round, each round starting with another of them. One round before goes untimed."""
    names = list(runners)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for round_number in track(
        range(rounds + 1),
        description=what,
        console=Console(stderr=True),
        transient=True,
        disable=not Console().is_terminal,
    ):
        first = round_number % len(names)
        for name in names[first:] + names[:first]:
            runners[name].prepare()
            start = time.perf_counter()
            runners[name].run()
            elapsed = time.perf_counter() - start
            if round_number > 0:
                seconds[name].append(elapsed)
    return {name: Timing(tuple(values)) for name, values in seconds.items()}
