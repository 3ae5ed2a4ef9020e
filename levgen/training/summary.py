"""How a run went: a line, and its losses as a picture."""

from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from levgen.training.curve import WIDTH, Point, draw, write_svg
from levgen.training.schema import JsonLogger
from levgen.training.setup import Setup

LEAST_STEPS = 8  # of a curve


@dataclass
class Summary:
    """How a run went. Losses are in nats a token."""

    checkpoint: Path
    steps: int = 0  # run in all, those of earlier runs included
    curve: list[Point] = field(default_factory=list)  # of this run
    eval_curve: list[Point] = field(default_factory=list)
    tokens_per_second: float = 0.0  # of the steps alone: no compilation, evaluation or saving
    compile_seconds: float = 0.0
    utilisation: float | None = None  # MFU, where the peak of the devices is known
    signal: int | None = None  # the signal that stopped the run early

    @property
    def losses(self) -> tuple[float, float] | None:
        """The first and the last of this run; None where no step was left to run."""
        return (self.curve[0][1], self.curve[-1][1]) if self.curve else None

    @property
    def eval_loss(self) -> float | None:
        """The last one."""
        return self.eval_curve[-1][1] if self.eval_curve else None

    def __str__(self) -> str:
        if self.losses is None:
            return f"nothing left to run: {self.checkpoint} has {self.steps} steps; --steps runs more, --fresh anew"
        evaluation = "" if self.eval_loss is None else f" · eval loss {self.eval_loss:.4f}"
        mfu = "" if self.utilisation is None else f" · MFU {self.utilisation:.1%}"
        return (
            f"{self.steps} steps · loss {self.losses[0]:.4f} -> {self.losses[1]:.4f}{evaluation} · "
            f"{self.tokens_per_second:,.0f} tokens/s{mfu} · compiled in {self.compile_seconds:.1f} s · "
            f"{self.checkpoint}"
        )


def show_curve(summary: Summary, setup: Setup, console: Console) -> None:
    """Draws the curve of a run that is long enough for one."""
    if len(summary.curve) < LEAST_STEPS:
        return
    if console.encoding.startswith("utf"):
        width = min(WIDTH, console.width - 12, max(16, len(summary.curve) // 2))  # no more columns than steps
        console.print(draw(summary.curve, width=width), highlight=False, markup=False, soft_wrap=True)
    if any(isinstance(tracker, JsonLogger) for tracker in setup.config.trainer.tracker):
        write_svg(setup.model.metrics_file.with_suffix(".svg"), summary.curve, summary.eval_curve)
