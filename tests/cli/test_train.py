"""`levgen train` as it is called."""

import importlib.util
import shutil
from pathlib import Path

import pytest

from levgen.cli.app import run
from levgen.training import data_dir

EXAMPLE = Path(__file__).parents[1] / "training" / "project"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(EXAMPLE, folder, ignore=ignored)
    shutil.copytree(data_dir(), folder / "data", ignore=ignored)
    monkeypatch.chdir(folder)
    return folder


def test_trains_resumes_and_starts_afresh(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = ["train", "config/tiny.yaml", "--set", "model.num_layers=1", "--set", "model.hidden_dim=16"]
    assert run([*small, "--resume"]) == 2
    assert "no checkpoint to resume from" in capsys.readouterr().err
    assert run([*small, "--steps", "2"]) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith("2 steps · loss 5.")
    assert shown.out.count("\n") == 1
    assert "step 2/2  loss" in shown.err
    assert run([*small, "--steps", "3", "--resume"]) == 0
    assert "resumed from step 2" in capsys.readouterr().err
    assert run([*small, "--steps", "2", "--fresh"]) == 0
    assert f"checkpoints are in {project}/checkpoints/tiny.1 now" in capsys.readouterr().err
    assert [entry.name for entry in (project / "checkpoints" / "tiny").iterdir()] == ["step_2"]


def test_errors_exit_with_2(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "config/tiny.yaml", "--set", "trainer.sed=1"]) == 2
    assert capsys.readouterr().err == (
        "error: config/tiny.yaml has 1 problem:\n  --set: trainer.sed: unknown key; did you mean 'seed'?\n"
    )
    assert run(["train", "config/none.yaml"]) == 2
    assert capsys.readouterr().err == "error: no such file: config/none.yaml\n"


@pytest.mark.skipif(importlib.util.find_spec("levanter") is not None, reason="Levanter is installed here")
def test_levanter_engine_says_what_it_needs(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", "config/tiny.yaml", "--engine", "levanter"]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("error: Levanter is not installed in this environment\n  Levanter needs Python >= 3.12")
    assert "python3.12 -m venv" in shown
