"""Runs a training configuration from its start, or from its newest checkpoint, to its end."""

import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import equinox as eqx
from rich.console import Console

from levgen.errors import LevgenError
from levgen.runtime import LmHeadModel
from levgen.training.checkpoint import CheckpointError, is_kept
from levgen.training.evaluate import EvalStep, evaluate
from levgen.training.interrupt import StopSignals
from levgen.training.progress import RunProgress, Stopwatch
from levgen.training.setup import ModelSetup, Setup, prepare
from levgen.training.step import State
from levgen.training.summary import Summary, show_curve
from levgen.training.trackers import Log, check_installed, open_trackers
from levgen.training.validate import Loaded


class DivergedError(LevgenError):
    """The loss or the gradient is not a finite number any more."""


def train(loaded: Loaded, *, console: Console, on_step: Callable[[int], None] | None = None) -> Summary:
    """Trains what `loaded` describes; `on_step` is called after each step with the number of steps run.

    Raises:
        LevgenError: whatever is wrong with the configuration, the data, the model or an earlier checkpoint.
        DivergedError: the loss became NaN or infinite; the newest checkpoint is from before that.
    """
    check_installed(loaded.config.trainer.tracker)
    setup = prepare(loaded)
    total = setup.config.trainer.num_train_steps
    with StopSignals() as signals, RunProgress(console, total) as progress, setup.training.placement.active():
        summary = _Run(setup, signals, progress, on_step or (lambda done: None)).run(total)
    show_curve(summary, setup, console)
    return summary


class _Run:
    """The loop and what it holds while it runs."""

    def __init__(
        self, setup: Setup, signals: StopSignals, progress: RunProgress, on_step: Callable[[int], None]
    ) -> None:
        self.setup, self.signals, self.progress, self.on_step = setup, signals, progress, on_step
        self.trainer = setup.config.trainer
        self.checkpoints = setup.model.checkpoints
        self.summary = Summary(self.checkpoints.folder)
        self.watch = Stopwatch()
        self.first_seconds = 0.0

    def run(self, total: int) -> Summary:
        newest = self._newest_step()
        start = newest or 0
        if start >= total:
            self.summary.steps = start
            return self.summary
        for part in self.setup.data.values():
            self.progress.note(part.summary)
        state, rest = first_state(self.setup.model, self.progress.note) if newest is None else self._restore(newest)
        before = time.perf_counter()
        step = self.setup.training.train_step(rest).lower(state, self.setup.batches.at(start)).compile()
        eval_step = self.setup.training.eval_step(rest)
        self.summary.compile_seconds = time.perf_counter() - before
        export, saved_at = self.setup.model.hf_export, time.monotonic()
        with self._trackers(start) as log:
            for index in range(start, total):
                with self.watch:
                    state, measured = step(state, self.setup.batches.at(index))
                    values: dict[str, Any] = {name: float(value) for name, value in measured._asdict().items()}
                self._check_finite(index, values)
                done = index + 1
                self._count(done, start, values["loss"])
                last = done == total or self.signals.received is not None
                if self.setup.validation and (done % self.trainer.steps_per_eval == 0 or done == total):
                    evaluated = self._evaluate(eval_step, state)
                    values.update(evaluated)
                    self.summary.eval_curve.append((done, evaluated["eval_loss"]))
                    shown = (f"{name.replace('_', ' ')} {loss:.4f}" for name, loss in evaluated.items())
                    self.progress.note(f"step {done}  {', '.join(shown)}")
                log.log(index, {**values, "tokens_per_second": self.summary.tokens_per_second})
                if last or is_kept(done, self.trainer.checkpointer) or self._is_due(saved_at):
                    self.checkpoints.save(done, state, self.setup.identity)
                    saved_at = time.monotonic()
                if export is not None and (done == total or export.is_due(done)):
                    folder = export.save(eqx.combine(state.params, rest), done)
                    self.progress.note(f"step {done}  exported to {folder}")
                self.on_step(done)
                if last:
                    break
        self.summary.signal = self.signals.received
        return self.summary

    def _newest_step(self) -> int | None:
        """The step of the checkpoint to go on from, or None."""
        wanted = self.trainer.load_checkpoint
        if wanted is False:
            aside = self.checkpoints.set_aside()
            if aside is not None:
                self.progress.note(f"the earlier run's checkpoints are in {aside} now")
        newest = self.checkpoints.latest()
        if newest is None and wanted:
            raise CheckpointError(f"no checkpoint to resume from in {self.checkpoints.folder}")
        if newest is not None:
            self.checkpoints.compare(newest, self.setup.identity)
        return newest

    def _restore(self, start: int) -> tuple[State, LmHeadModel]:
        """The state at step `start`, and the model without its floating-point arrays."""
        like, rest = self.setup.training.shapes()
        state = self.checkpoints.restore(start, like)
        self.progress.note(f"resumed from step {start} of {self.checkpoints.folder}")
        return state, rest

    def _trackers(self, start: int) -> AbstractContextManager[Log]:
        model = self.setup.model
        return open_trackers(
            self.trainer.tracker,
            run_id=model.run_id,
            project=model.project,
            json_file=model.metrics_file,
            first_step=start,
            config=self.setup.config.model_dump(mode="json"),
        )

    def _count(self, done: int, start: int, loss: float) -> None:
        self.summary.curve.append((done, loss))
        self.summary.steps = done
        if done - start == 1:
            self.first_seconds = self.watch.seconds  # it warms up what compilation left: timed only when alone
        steps, seconds = done - start - 1, self.watch.seconds - self.first_seconds
        if steps == 0:
            steps, seconds = 1, self.first_seconds
        self.summary.tokens_per_second = steps * self.setup.tokens_per_step / seconds
        self.summary.utilisation = self.setup.utilisation(seconds / steps)
        self.progress.step(done, loss, self.summary.tokens_per_second, self.summary.utilisation)

    def _is_due(self, saved_at: float) -> bool:
        interval = self.trainer.checkpointer.save_interval
        return interval is not None and time.monotonic() - saved_at >= interval.total_seconds()

    def _check_finite(self, index: int, values: dict[str, Any]) -> None:
        bad = [f"{name} {values[name]}" for name in ("loss", "grad_norm") if not math.isfinite(values[name])]
        if bad:
            newest = self.checkpoints.latest()
            kept = "no checkpoint had been saved" if newest is None else f"the newest checkpoint is of step {newest}"
            raise DivergedError(
                f"training diverged at step {index}: {', '.join(bad)}; {kept}\nits batch: {self._batch(index)}",
                "try a smaller optimizer.learning_rate, a longer optimizer.warmup or a smaller optimizer.max_grad_norm",
            )

    def _batch(self, step: int) -> str:
        """`sequences 3, 17 of 'web'; 4 of 'books'`, counted from 0 in the order of the component's files."""
        by_component: dict[str, list[int]] = {}
        for name, number in self.setup.batches.places(step):
            by_component.setdefault(name, []).append(number)
        parts = [f"{', '.join(map(str, numbers))} of {name!r}" for name, numbers in by_component.items()]
        return f"sequences {'; '.join(parts)}"

    def _evaluate(self, eval_step: EvalStep, state: State) -> dict[str, float]:
        return evaluate(
            eval_step,
            state.params,
            self.setup.validation,
            batch_size=self.setup.eval_batch_size,
            max_batches=self.trainer.max_eval_batches,
        )


def first_state(setup: ModelSetup, note: Callable[[str], None]) -> tuple[State, LmHeadModel]:
    """The state before step 0, and the model without its floating-point arrays: fresh, or with weights of a folder."""
    training, hf_start = setup.training, setup.hf_start()
    if hf_start is None:
        return training.init()
    model = hf_start.load(
        training.model_config,
        training.Vocab,
        dtype=training.precision.params,
        axis_mapping=training.placement.params,
        note=note,
    )
    note(f"started from the weights in {hf_start.folder}")
    return training.start_from(model)
