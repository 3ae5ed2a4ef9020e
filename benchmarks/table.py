"""Tables of timings, as the terminal and the README show them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.timing import Timing


@dataclass(frozen=True)
class Ratio:
    """`case` in terms of `rival`; `aim` is the most (or the least) it should be, None where nothing is aimed at."""

    case: str
    rival: str
    aim: float | None = None
    at_least: bool = False

    def verdict(self, measured: float) -> str:
        """Whether the aim is met."""
        if self.aim is None:
            return ""
        met = measured >= self.aim if self.at_least else measured <= self.aim
        return f"{'>=' if self.at_least else '<='} {self.aim:g}: {'met' if met else 'missed'}"


@dataclass(frozen=True)
class Comparison:
    """Timings of one round robin, and the ratios to read from them."""

    title: str
    timings: Mapping[str, Timing]
    ratios: Sequence[Ratio]
    notes: Sequence[str] = ()

    def table(self) -> Table:
        """A row for each case, in Markdown, in milliseconds."""
        table = Table(box=box.MARKDOWN, show_edge=True)
        table.add_column("ms", no_wrap=True)
        for column in ("median", "fastest", "slowest"):
            table.add_column(column, justify="right", no_wrap=True)
        table.add_column("ratio", no_wrap=True)
        table.add_column("aim", no_wrap=True)
        by_case = {ratio.case: ratio for ratio in self.ratios}
        for case, timing in self.timings.items():
            times = (timing.median, timing.fastest, timing.slowest)
            table.add_row(case, *map(_milliseconds, times), *self._ratio(by_case.get(case)))
        return table

    def _ratio(self, ratio: Ratio | None) -> tuple[str, str]:
        if ratio is None:
            return "", ""
        measured = self.timings[ratio.case].ratio_to(self.timings[ratio.rival])
        return f"{measured:.2f} x {ratio.rival}", ratio.verdict(measured)

    def show(self, console: Console) -> None:
        rounds = len(next(iter(self.timings.values())).seconds)
        console.print(f"### {self.title} ({rounds} rounds)", highlight=False)
        console.print(self.table())
        for note in self.notes:
            console.print(note, highlight=False)
        console.print()


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.{0 if seconds >= 0.01 else 2}f}"
