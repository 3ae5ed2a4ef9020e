"""Where the metrics of a run go, beside the JSON lines: TensorBoard and Weights & Biases, where they are installed."""

import contextlib
import importlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from levgen.errors import LevgenError
from levgen.training.metrics import JsonLines
from levgen.training.project import Project
from levgen.training.schema import JsonLogger, Noop, Tensorboard, Tracker, Wandb

# Levanter's names of what both engines measure, so that runs of both are drawn in one picture.
_NAMES = {
    "loss": "train/loss",
    "grad_norm": "grad/norm/total",
    "learning_rate": "optim/learning_rate",
    "tokens_per_second": "throughput/tokens_per_second",
    "eval_loss": "eval/loss",
}


class Log(Protocol):
    """Takes the metrics of one step."""

    def log(self, step: int, values: Mapping[str, float]) -> None: ...


class _TensorboardLog:
    def __init__(self, writer: Any) -> None:
        self._writer = writer

    def log(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(levanter_name(name), value, step)


class _WandbLog:
    def __init__(self, run: Any) -> None:
        self._run = run

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log({levanter_name(name): value for name, value in values.items()}, step=step)


class _Many:
    def __init__(self, logs: Sequence[Log]) -> None:
        self._logs = logs

    def log(self, step: int, values: Mapping[str, float]) -> None:
        for log in self._logs:
            log.log(step, values)


def levanter_name(name: str) -> str:
    """`train/loss` for `loss`, `eval/web/loss` for `eval_loss/web`."""
    component = name.removeprefix("eval_loss/")
    return f"eval/{component}/loss" if component != name else _NAMES.get(name, name)


def check_installed(trackers: Sequence[Tracker]) -> None:
    """Raises LevgenError where a tracker's package is missing."""
    for tracker in trackers:
        if isinstance(tracker, Tensorboard):
            _package("tensorboardX", "tensorboard")
        elif isinstance(tracker, Wandb):
            _package("wandb", "wandb")


@contextlib.contextmanager
def open_trackers(
    trackers: Sequence[Tracker],
    *,
    run_id: str,
    project: Project,
    json_file: Path,
    first_step: int,
    config: Mapping[str, Any],
) -> Iterator[Log]:
    """One log for all `trackers` of the run `run_id`, which goes on from `first_step`; `config` describes the run."""
    with contextlib.ExitStack() as stack:
        logs: list[Log] = []
        for tracker in trackers:
            match tracker:
                case JsonLogger():
                    logs.append(stack.enter_context(JsonLines(json_file, first_step=first_step)))
                case Tensorboard(logdir=logdir):
                    package = _package("tensorboardX", "tensorboard")
                    # Steps that are run again replace those of before.
                    writer = package.SummaryWriter(str(project.place(logdir) / run_id), purge_step=first_step)
                    stack.callback(writer.close)
                    logs.append(_TensorboardLog(writer))
                case Wandb():
                    settings = tracker.model_dump(exclude={"type"}, exclude_none=True)
                    run = _package("wandb", "wandb").init(
                        id=run_id, resume="allow", dir=str(project.root), config=dict(config), **settings
                    )
                    stack.callback(run.finish)
                    logs.append(_WandbLog(run))
                case Noop():
                    pass
        yield _Many(logs)


def _package(name: str, extra: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise LevgenError(
            f"trainer.tracker: {extra} needs the package {name}, which can't be imported: {error}",
            f"pip install 'levgen[{extra}]'",
        ) from error
