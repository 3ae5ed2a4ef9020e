"""A generated project passes the tools that it asks of its owner, as it was written."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

TOOLS = [
    ("ruff", "check", "."),
    ("ruff", "format", "--check", "."),
    ("levgen", "check"),
]


def _finds_nothing(command: tuple[str, ...], folder: Path) -> None:
    done = subprocess.run([sys.executable, "-m", *command], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("command", TOOLS, ids=" ".join)
def test_tool_finds_nothing(project: Path, command: tuple[str, ...]) -> None:
    _finds_nothing(command, project)


@pytest.mark.slow
@pytest.mark.parametrize("command", [*TOOLS, ("mypy",)], ids=" ".join)
def test_tool_finds_nothing_in_any_model(every_model: Path, command: tuple[str, ...]) -> None:
    _finds_nothing(command, every_model)


def test_writing_again_changes_nothing(project: Path, levgen: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    before = {path: path.stat().st_mtime_ns for path in project.rglob("*") if path.is_file()}
    done = levgen("new-model", "llama", cwd=project)
    assert done.returncode == 0
    assert "Nothing to write" in done.stdout
    assert {path: path.stat().st_mtime_ns for path in project.rglob("*") if path.is_file()} == before


@pytest.mark.slow
def test_generated_tests_pass(project: Path) -> None:
    """`cd demo && pytest`, unedited, warnings as errors."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rs"], cwd=project, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    assert "skipped" not in done.stdout
