"""kill -9 at random moments loses at most one interval of saves and never spoils a run."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EVERY = 10
SMALL = ["model.num_layers=1", "model.hidden_dim=16", "trainer.steps_per_eval=100"]
SAVES = ["trainer.checkpointer.save_interval=null", f"trainer.checkpointer.keep=[{{every: {EVERY}}}]"]


def command(run: str, steps: int) -> list[str]:
    changed = [*SMALL, *SAVES, f"trainer.id={run}", f"trainer.num_train_steps={steps}"]
    overrides = [part for item in changed for part in ("--set", item)]
    return [sys.executable, "-m", "levgen", "train", "config/tiny.yaml", *overrides]


def losses(run: str) -> dict[int, float]:
    """Of the whole lines of the metrics."""
    lines = Path(f"logs/{run}.jsonl").read_text().split("\n")[:-1] if Path(f"logs/{run}.jsonl").exists() else []
    return {row["step"]: row["loss"] for row in map(json.loads, lines)}


@pytest.mark.parametrize(
    "rounds", [pytest.param(5, marks=pytest.mark.slow), pytest.param(20, marks=pytest.mark.exhaustive)]
)
def test_killed_at_random_moments(project: Path, rounds: int) -> None:
    steps = 60 * rounds  # more than all rounds reach
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "JAX_COMPILATION_CACHE_DIR": str(project / "compiled")}
    environment["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    subprocess.run(command("whole", steps), check=True, capture_output=True, env=environment)
    assert set(losses("whole")) == set(range(steps))

    moments = random.Random(5)
    for _ in range(rounds):
        before = losses("killed")
        process = subprocess.Popen(command("killed", steps), stderr=subprocess.PIPE, text=True, env=environment)
        target = max(before, default=0) + moments.randint(5, 45)
        while process.poll() is None and max(losses("killed"), default=0) < target:
            time.sleep(0.002)
        time.sleep(moments.uniform(0, 0.02))  # which may be in a step, a save or a line of the metrics
        process.send_signal(signal.SIGKILL)
        _, shown = process.communicate()
        if before:
            reached = max(before) + 1
            resumed = [int(line.split()[3]) for line in shown.splitlines() if line.startswith("resumed from step")]
            assert resumed or reached <= EVERY, shown
            assert not resumed or reached - resumed[0] <= EVERY, (reached, resumed)

    done = subprocess.run(command("killed", steps), capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert losses("killed") == losses("whole")
    names = {path.name for path in Path("checkpoints/killed").iterdir()}
    assert names == {f"step_{step}" for step in range(EVERY, steps + 1, EVERY)}
