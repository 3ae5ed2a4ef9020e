"""`levgen profile` as it is called."""

import gzip
import json
import re
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


def test_summary_and_trace(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["profile", "config/tiny.yaml", "--steps", "2"]) == 0
    out = capsys.readouterr().out
    assert re.search(r"^step     [\d.]+ ms \(median of 2\)   [\d,]+ tokens/s$", out, re.MULTILINE)
    assert re.search(r"^device   2 x cpu$", out, re.MULTILINE)
    assert re.search(r"^FLOPs    \d+\.\d+ MFLOP a step \(3 x the forward pass\)   ", out, re.MULTILINE)
    assert "MFU      not known" in out
    for module in ("dot_product_attention", "Linear", "optimizer"):
        assert re.search(rf"^ +\d+\.\d%( +\d+\.\d\d){{3}}  {module}$", out, re.MULTILINE), out
    shares = [float(share) for share in re.findall(r"^ +(\d+\.\d)%", out, re.MULTILINE)]
    assert sum(shares) == pytest.approx(100, abs=1)
    trace = project / "logs" / "tiny.trace.json.gz"
    assert f"trace: {trace} (open it in Perfetto" in out
    with gzip.open(trace) as file:
        steps = [event for event in json.load(file)["traceEvents"] if event.get("name") == "train"]
    assert {event["args"]["step_num"] for event in steps} == {"2", "3"}
    assert not (project / "checkpoints").exists()


def test_refused_as_by_train(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["profile", "config/tiny.yaml", "--set", "trainer.sed=1"]) == 2
    assert "trainer.sed: unknown key; did you mean 'seed'?" in capsys.readouterr().err
