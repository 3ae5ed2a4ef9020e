"""`levgen convert` as it is called."""

import shutil
from pathlib import Path

import pytest

from levgen.cli.app import run
from levgen.training import data_dir

EXAMPLE = Path(__file__).parents[1] / "training" / "project"
SMALL = ["--set", "model.num_layers=1", "--set", "model.hidden_dim=16", "--set", "trainer.tracker.type=noop"]
YAML = "config/tiny.yaml"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(EXAMPLE, folder, ignore=ignored)
    shutil.copytree(data_dir(), folder / "data", ignore=ignored)
    monkeypatch.chdir(folder)
    return folder


def test_there_and_back(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = [*SMALL, "--set", "optimizer.learning_rate=1.0e-2"]
    assert run(["train", YAML, *small, "--set", "trainer.checkpointer.keep=[{every: 1}]", "--steps", "2"]) == 0
    capsys.readouterr()
    assert run(["convert", YAML, *SMALL, "--to", "out"]) == 0
    assert capsys.readouterr().out == "step 2 -> out\n"
    assert run(["convert", YAML, *SMALL, "--to", "one", "--step", "1", "--dtype", "bfloat16"]) == 0
    assert capsys.readouterr().out == "step 1 -> one\n"
    names = {path.name for path in (project / "one").iterdir()}
    assert names == {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    whole, half = ((project / name / "model.safetensors").stat().st_size for name in ("out", "one"))
    assert half < 0.6 * whole

    again = [*SMALL, "--set", "trainer.id=again"]
    assert run(["convert", YAML, *again, "--from", "out"]) == 0
    out = capsys.readouterr().out
    assert out == f"out -> step 0 of {project}/checkpoints/again; next: levgen train {YAML}\n"
    assert run(["convert", YAML, *again, "--to", "back"]) == 0
    assert (project / "back" / "model.safetensors").read_bytes() == (project / "out" / "model.safetensors").read_bytes()
    assert run(["convert", YAML, *again, "--from", "out"]) == 2
    assert "again has a checkpoint of step 0: nothing was written over it" in capsys.readouterr().err
    assert run(["train", YAML, *again, "--steps", "1"]) == 0
    assert "resumed from step 0 of" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "error: expected one of --to and --from"),
        (["--to", "a", "--from", "b"], "error: expected one of --to and --from"),
        (["--from", "b", "--step", "3"], "error: --step and --dtype belong to --to"),
        (["--to", "a"], "error: no checkpoint in "),
        (["--from", "models"], "--set: initialize_from_hf: expected a folder with a config.json, got 'models'"),
    ],
)
def test_refused(project: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    assert run(["convert", YAML, *arguments]) == 2
    assert message in capsys.readouterr().err


def test_checkpoints_that_do_not_fit(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train", YAML, *SMALL, "--steps", "1"]) == 0
    assert run(["convert", YAML, *SMALL, "--to", "a", "--step", "7"]) == 2
    assert "there are those of 1" in capsys.readouterr().err
    assert run(["convert", YAML, *SMALL, "--set", "model.num_heads=4", "--to", "a"]) == 2
    assert "model.num_heads: 2 then, 4 now" in capsys.readouterr().err
    assert run(["convert", YAML, *SMALL, "--to", "config"]) == 2
    assert "config is not empty and no checkpoint of transformers" in capsys.readouterr().err
    assert not (project / "a").exists()
    assert (project / "config" / "tiny.yaml").is_file()
