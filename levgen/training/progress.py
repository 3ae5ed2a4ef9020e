"""What a run shows: a bar with loss and tokens a second on a terminal, a line now and then elsewhere."""

import math
import time
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

LINES = 20  # in a run that is not shown on a terminal


class RunProgress:
    """The display of a run of `total` steps, as a context manager."""

    def __init__(self, console: Console, total: int) -> None:
        self._console, self._total = console, total
        self._every = math.ceil(total / LINES)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("starting", total=total)

    def note(self, text: str) -> None:
        """A line that stays."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def step(self, done: int, loss: float, tokens_per_second: float, utilisation: float | None = None) -> None:
        """Step number `done` (counted from 1) has been run."""
        mfu = "" if utilisation is None else f"  MFU {utilisation:.1%}"
        text = f"loss {loss:.4f}  {tokens_per_second:,.0f} tok/s{mfu}"
        self._bar.update(self._task, completed=done, description=text)
        if not self._console.is_terminal and (done % self._every == 0 or done == self._total):
            self.note(f"step {done}/{self._total}  {text}")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.stop()


class Stopwatch:
    """Seconds of the parts of a run that are to be counted: `with watch: ...`."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __enter__(self) -> Self:
        self._start = time.perf_counter()
        return self

    def __exit__(self, *exception: object) -> None:
        self.seconds += time.perf_counter() - self._start
