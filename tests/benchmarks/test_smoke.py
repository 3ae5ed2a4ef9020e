"""The benchmarks run and print their tables. No time that they measure is tested."""

import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("name", "cases"),
    [
        ("command-line", ["levgen --help", "copier copy, the same files", "levgen check"]),
        pytest.param(
            "train-step", ["generated Llama", "generated GPT-2", "plain JAX, scan"], marks=pytest.mark.exhaustive
        ),
        pytest.param(
            "compile-time", ["generated Llama, 2 layers", "generated GPT-2, 2 layers"], marks=pytest.mark.slow
        ),
        pytest.param("moe", ["levgen, grouped", "every expert for every token"], marks=pytest.mark.exhaustive),
        pytest.param("decode", ["generated Llama", "plain JAX, unrolled"], marks=pytest.mark.slow),
        pytest.param("devices", ["one device", "8 devices, FSDP"], marks=pytest.mark.slow),
        pytest.param("loss-memory", ["levgen's loss, in blocks", "the logits"], marks=pytest.mark.slow),
        pytest.param("checkpoints", ["levgen", "read the file", "Llama, one file"], marks=pytest.mark.exhaustive),
    ],
)
def test_a_quick_run_prints_a_row_for_each_case(name: str, cases: list[str]) -> None:
    command = [sys.executable, "-m", "benchmarks", name, "--quick"]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = [line.strip("| \n").split("|") for line in done.stdout.splitlines() if line.startswith("|")]
    medians = {row[0].strip(): row[1].strip() for row in rows}
    for case in cases:
        assert float(medians[case]) > 0, done.stdout
