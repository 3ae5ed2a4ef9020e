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
        return f"{measured:.2f} x {ratio.rival}", _verdict(measured, ratio.aim, at_least=ratio.at_least)

    def show(self, console: Console) -> None:
        rounds = len(next(iter(self.timings.values())).seconds)
        _show(console, f"{self.title} ({rounds} rounds)", self.table(), self.notes)


@dataclass(frozen=True)
class Row:
    """An amount, and what it is in terms of something else; `aim` is the most that this should be."""

    case: str
    amount: float
    ratio: float | None = None
    rival: str = ""
    aim: float | None = None


@dataclass(frozen=True)
class Amounts:
    """Figures that need no rounds, because they come out the same: memory, mostly."""

    title: str
    unit: str
    rows: Sequence[Row]
    notes: Sequence[str] = ()

    def show(self, console: Console) -> None:
        table = Table(box=box.MARKDOWN, show_edge=True)
        table.add_column(self.unit, no_wrap=True)
        table.add_column("amount", justify="right", no_wrap=True)
        table.add_column("ratio", no_wrap=True)
        table.add_column("aim", no_wrap=True)
        for row in self.rows:
            ratio = "" if row.ratio is None else f"{row.ratio:.2f} x {row.rival}"
            verdict = "" if row.ratio is None else _verdict(row.ratio, row.aim, at_least=False)
            table.add_row(row.case, f"{row.amount:.1f}", ratio, verdict)
        _show(console, self.title, table, self.notes)


def _show(console: Console, title: str, table: Table, notes: Sequence[str]) -> None:
    console.print(f"### {title}", highlight=False)
    console.print(table)
    for note in notes:
        console.print(note, highlight=False)
    console.print()


def _verdict(measured: float, aim: float | None, *, at_least: bool) -> str:
    """Whether an aim is met."""
    if aim is None:
        return ""
    met = measured >= aim if at_least else measured <= aim
    return f"{'>=' if at_least else '<='} {aim:.3g}: {'met' if met else 'missed'}"


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.{0 if seconds >= 0.01 else 2}f}"
