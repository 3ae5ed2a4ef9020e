"""What the tests of generated files share: a project with a model of every card, written by the command itself."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from levgen.architecture.catalogue import known_types


def _levgen(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "levgen", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture(scope="session")
def levgen() -> Callable[..., subprocess.CompletedProcess[str]]:
    """`levgen(*arguments, cwd=folder)` runs the command in a folder."""
    return _levgen


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a model of every card."""
    root = tmp_path_factory.mktemp("ports") / "demo"
    for model_type in known_types():
        done = _levgen("new-model", model_type, "--dest", str(root), cwd=root.parent)
        assert done.returncode == 0, done.stderr
    return root
