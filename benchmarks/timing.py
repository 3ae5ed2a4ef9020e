"""Timing several things against each other on a machine that is not quiet."""

import gc
import os
import random
import resource
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
    """The times of one runner, in seconds, one for each round."""

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


# Where this is in the environment, times are the processor's.
PROCESSOR_TIME = "LEVGEN_BENCHMARK_PROCESSOR_TIME"


def processor_seconds() -> float:
    """What this process and its children that have ended have had of the processors: no time spent waiting for one."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def interleaved(what: str, runners: Mapping[str, Runner], rounds: int) -> dict[str, Timing]:
    """Every runner once a round, in an order drawn anew for each. One round before goes untimed.

    Nobody pays for what another leaves behind: garbage is collected between the runs, and results are freed there. What
    the kernel has to do for the memory of the one before falls on all alike, since nobody always comes after the same.

    What counts is the time on the wall, or with `PROCESSOR_TIME` set in the environment the processor's.
    """
    clock = processor_seconds if PROCESSOR_TIME in os.environ else time.perf_counter
    names, order = list(runners), random.Random(0)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for round_number in track(
        range(rounds + 1),
        description=what,
        console=Console(stderr=True),
        transient=True,
        disable=not Console().is_terminal,
    ):
        for name in order.sample(names, len(names)):
            runners[name].prepare()
            gc.collect()
            start = clock()
            result = runners[name].run()
            elapsed = clock() - start
            del result  # neither its own time nor the next one's
            if round_number > 0:
                seconds[name].append(elapsed)
    return {name: Timing(tuple(values)) for name, values in seconds.items()}
