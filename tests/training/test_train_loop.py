"""Whole runs on the shipped text: the loss falls, and a run that is stopped goes on bit for bit."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from levgen.errors import LevgenError
from levgen.training.checkpoint import CheckpointError
from levgen.training.loop import DivergedError, train
from levgen.training.setup import prepare
from levgen.training.summary import Summary
from levgen.training.validate import load

SMALL = ["model.num_layers=1", "model.hidden_dim=16", "trainer.num_train_steps=16", "trainer.steps_per_eval=8"]


def run(console: Console, *overrides: str, on_step: Callable[[int], None] | None = None) -> Summary:
    return train(load(Path("config/tiny.yaml"), overrides=[*SMALL, *overrides]), console=console, on_step=on_step)


def metrics(name: str = "tiny") -> list[dict[str, float]]:
    return [json.loads(line) for line in Path(f"logs/{name}.jsonl").read_text().splitlines()]


def losses(name: str) -> list[tuple[float, ...]]:
    return [(row["step"], row["loss"], row["grad_norm"], row.get("eval_loss", 0.0)) for row in metrics(name)]


def test_loss_falls_and_a_stopped_run_goes_on_bit_for_bit(project: Path, console: Console) -> None:
    whole = run(console, "trainer.id=whole")
    assert whole.losses is not None
    assert whole.losses[0] == pytest.approx(5.55, abs=0.4)  # near log(258)
    assert whole.losses[1] < whole.losses[0] - 1.5
    assert whole.eval_loss == metrics("whole")[-1]["eval_loss"] < whole.losses[0] - 1.5
    assert [row["step"] for row in metrics("whole")] == list(range(16))
    assert [row["step"] for row in metrics("whole") if "eval_loss" in row] == [7, 15]

    def stop(done: int) -> None:
        if done == 5:
            os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    stopped = run(console, "trainer.id=parts", on_step=stop)
    assert signal.getsignal(signal.SIGINT) is before
    assert (stopped.signal, stopped.steps) == (signal.SIGINT, 6)  # the step under way was finished, and saved
    assert [entry.name for entry in Path("checkpoints/parts").iterdir()] == ["step_6"]

    resumed = run(console, "trainer.id=parts")
    assert (resumed.signal, resumed.steps) == (None, 16)
    assert losses("parts") == losses("whole")

    # The rest is about this finished run.
    again = run(console, "trainer.id=parts")
    assert str(again) == (
        f"nothing left to run: {project}/checkpoints/parts has 16 steps; --steps runs more, --fresh anew"
    )
    with pytest.raises(CheckpointError, match=r"trainer\.train_batch_size: 8 then, 4 now"):
        run(console, "trainer.id=parts", "trainer.train_batch_size=4")


def test_losing_the_last_steps_to_a_kill(project: Path, console: Console) -> None:
    """After a kill the metrics are ahead of the newest checkpoint, and the same steps are run again."""

    class Killed(BaseException):
        pass

    def kill(done: int) -> None:
        if done == 10:
            raise Killed

    with pytest.raises(Killed):
        run(console, "trainer.checkpointer.keep=[{every: 4}]", on_step=kill)
    first = losses("tiny")
    assert len(first) == 10
    with Path("logs/tiny.jsonl").open("a") as file:
        file.write('{"step": 10, "lo')  # a line cut short
    summary = run(console, "trainer.checkpointer.keep=[{every: 4}]")
    assert "resumed from step 8" in console.file.getvalue()
    assert losses("tiny")[:10] == first
    assert [row["step"] for row in metrics()] == list(range(16))
    assert sorted(entry.name for entry in summary.checkpoint.iterdir()) == ["step_12", "step_16", "step_4", "step_8"]


def test_a_mixture_is_evaluated_by_component_and_goes_on_with_its_weights_alone(
    project: Path, console: Console
) -> None:
    parts = (
        "data.components={a: {source: {train_urls: [data/train.jsonl]}}, b: {source: {train_urls: ['data/v*.jsonl']}}}"
    )
    mixed = [parts, "data.train_weights={a: 3, b: 1}", "trainer.num_train_steps=2"]
    run(console, *mixed)
    last = metrics()[-1]
    assert (
        min(last["eval_loss/a"], last["eval_loss/b"])
        <= last["eval_loss"]
        <= max(last["eval_loss/a"], last["eval_loss/b"])
    )
    assert "eval loss/a" in console.file.getvalue()
    with pytest.raises(CheckpointError, match=r"data\.train_weights\.b: 1\.0 then, 2\.0 now"):
        run(console, *mixed, "data.train_weights.b=2", "trainer.num_train_steps=3")
    assert run(console, *mixed, "trainer.num_train_steps=3").steps == 3


def test_divergence_keeps_the_last_good_checkpoint(project: Path, console: Console) -> None:
    wild = ["optimizer.learning_rate=1e30", "optimizer.warmup=0", "optimizer.max_grad_norm=null"]
    with pytest.raises(DivergedError) as caught:
        run(console, *wild, "trainer.checkpointer.keep=[{every: 1}]", "trainer.tracker.type=noop")
    assert caught.value.message.startswith("training diverged at step 1: loss nan, grad_norm nan")
    first, last = caught.value.message.splitlines()
    assert first.endswith("; the newest checkpoint is of step 1")
    batch = prepare(load(Path("config/tiny.yaml"), overrides=SMALL)).batches.places(1)
    assert last == f"its batch: sequences {', '.join(str(index) for _, index in batch)} of 'shipped'"
    assert not Path("logs").exists()
    assert caught.value.hint is not None
    assert "optimizer.learning_rate" in caught.value.hint


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("train_seq_len=64", "--set: train_seq_len: 64 is more than model.max_seq_len, 32"),
        ("data.vocab_size=100", "--set: data.vocab_size: 100 is less than the tokenizer's 258 tokens"),
        ("trainer.require_accelerator=true", "trainer.require_accelerator is true, and JAX sees none"),
        ("trainer.load_checkpoint=true", "no checkpoint to resume from in"),
    ],
)
def test_refused_before_training(project: Path, console: Console, override: str, problem: str) -> None:
    with pytest.raises(LevgenError) as caught:
        run(console, override)
    assert problem in caught.value.message
