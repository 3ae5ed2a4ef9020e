"""Eight simulated devices, in processes that have them: the losses are one device's, and a run changes its mesh."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SMALL = ["--set", "model.num_heads=4", "--set", "model.num_layers=1", "--set", "trainer.steps_per_eval=3"]
SMALL += ["--set", "trainer.max_eval_batches=null"]  # which counts batches of as many as are computed at once
FSDP = ["--set", "trainer.mesh.axes={data: 8}"]
BOTH = ["--set", "trainer.mesh.axes={data: 4, model: 2}", "--set", "trainer.per_device_parallelism=1"]


def train(devices: int, *arguments: str) -> str:
    environment = {**os.environ, "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"}
    environment.pop("JAX_NUM_CPU_DEVICES", None)
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), environment.get("PYTHONPATH", "")])
    command = [sys.executable, "-m", "levgen", "train", "config/tiny.yaml", *SMALL, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stderr


def losses(run: str) -> list[float]:
    rows = [json.loads(line) for line in Path(f"logs/{run}.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(6))
    return [value for row in rows for name, value in row.items() if name in ("loss", "grad_norm", "eval_loss")]


@pytest.mark.slow
def test_losses_of_eight_devices_are_those_of_one(project: Path) -> None:
    train(1, "--set", "trainer.id=one", "--steps", "6")
    train(8, *FSDP, "--set", "trainer.id=fsdp", "--steps", "6")
    train(8, *BOTH, "--set", "trainer.id=both", "--steps", "6")
    assert losses("fsdp") == pytest.approx(losses("one"), rel=1e-5)
    assert losses("both") == pytest.approx(losses("one"), rel=1e-5)


@pytest.mark.slow
def test_a_checkpoint_goes_on_on_another_mesh(project: Path) -> None:
    train(1, "--set", "trainer.id=one", "--steps", "6")
    same_schedule = ["--set", "trainer.id=moved", "--set", "trainer.checkpointer.keep=[{every: 2}]"]
    train(8, *FSDP, *same_schedule, "--steps", "6")
    for devices, mesh, last in ((8, BOTH, 4), (1, [], 2)):
        for step in range(last, 7):  # as a run that was killed after step `last` leaves it
            folder = Path(f"checkpoints/moved/step_{step}")
            if step > last and folder.is_dir():
                for path in sorted(folder.rglob("*"), reverse=True):
                    path.rmdir() if path.is_dir() else path.unlink()
                folder.rmdir()
        assert f"resumed from step {last}" in train(devices, *mesh, *same_schedule, "--steps", "6")
        assert losses("moved") == pytest.approx(losses("one"), rel=1e-5)
