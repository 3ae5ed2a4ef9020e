"""The ladder in a terminal: a table that fills while it is climbed; lines as they come where nobody watches."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from levgen.cli.console import printable
from levgen.prove.ladder import MUTATIONS, Climbed, Rung
from levgen.prove.outcome import Status

if TYPE_CHECKING:
    from levgen.prove.diagnose.divergence import Divergence

_STYLES = {Status.PASSED: "green", Status.FAILED: "bold red", Status.SKIPPED: "yellow"}
_NAME = 16
_DETAILS = 4  # of a rung that failed: the report and --json have all


class Ladder:
    """The table. A context: inside of it `starts` and `ends` are told what is done."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._steps: list[Climbed] = []
        self._running: Rung | None = None
        self._said = ""
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None

    def __enter__(self) -> "Ladder":
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._live is not None:
            self._running = None
            self._live.update(self._table(), refresh=True)
            self._live.stop()

    def starts(self, rung: Rung) -> None:
        """A rung is being climbed."""
        self._running, self._said = rung, rung.summary
        if self._live is not None:
            self._live.update(self._table(), refresh=True)

    def says(self, text: str) -> None:
        """How far the rung that is being climbed is."""
        self._said = text
        if self._live is not None:
            self._live.update(self._table(), refresh=True)

    def finds(self, text: str) -> None:
        """What the rung has found on its way: it stays, whatever becomes of the run."""
        self._console.print(printable(text), highlight=False, markup=False, soft_wrap=True)

    def ends(self, step: Climbed) -> None:
        """A rung has its outcome."""
        self._steps.append(step)
        if self._live is not None:
            self._live.update(self._table(), refresh=True)
        else:
            self._console.print(_line(step), highlight=False, markup=False, soft_wrap=True)

    def _table(self) -> Table:
        table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, justify="right")
        table.add_column(overflow="fold")
        for step in self._steps:
            status = step.outcome.status
            table.add_row(
                step.rung.name, f"[{_STYLES[status]}]{status}", _seconds(step), escape(printable(step.outcome.line))
            )
        if self._running is not None and all(step.rung is not self._running for step in self._steps):
            table.add_row(self._running.name, "[dim]...", "", f"[dim]{escape(printable(self._said))}")
        return table


def print_details(console: Console, steps: Iterable[Climbed]) -> None:
    """What rungs have to say beyond their line."""
    for step in steps:
        if step.outcome.details:
            console.print(f"\n{step.rung.name}:", highlight=False, markup=False)
            shown = step.outcome.details if step.rung is MUTATIONS else step.outcome.details[:_DETAILS]
            for line in shown:
                told = "\n  ".join(printable(line).splitlines())
                console.print(f"  {told}", highlight=False, markup=False, soft_wrap=True)
            if len(step.outcome.details) > len(shown):
                console.print(f"  ... and {len(step.outcome.details) - len(shown)} more", highlight=False)


def print_divergence(console: Console, divergence: "Divergence") -> None:
    """Where it first goes wrong, and why."""
    console.print("\nFirst divergence", style="bold", highlight=False)
    for line in divergence.lines():
        console.print(f"  {printable(line)}", highlight=False, markup=False, soft_wrap=True)


def verdict(steps: Sequence[Climbed], status: str) -> str:
    """`12 passed, 1 failed, 2 skipped in 20 s: parity`."""
    counts = {status: sum(step.outcome.status is status for step in steps) for status in Status}
    told = ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "nothing was stale"
    return f"{told} in {sum(step.seconds for step in steps):.0f} s: {status}"


def _line(step: Climbed) -> str:
    outcome = step.outcome
    return f"{step.rung.name.ljust(_NAME)}{str(outcome.status).ljust(9)}{_seconds(step):>7}  {printable(outcome.line)}"


def _seconds(step: Climbed) -> str:
    return f"{step.seconds:.1f} s"
