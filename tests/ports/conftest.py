"""What the tests of generated files share: projects with models, written by the command itself."""

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
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


def _written(root: Path, model_types: Sequence[str]) -> Path:
    for model_type in model_types:
        done = _levgen("new-model", model_type, "--dest", str(root), cwd=root.parent)
        assert done.returncode == 0, done.stderr
    return root


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with two models that have little in common."""
    return _written(tmp_path_factory.mktemp("ports") / "demo", ["llama", "gpt2"])


@pytest.fixture(scope="session")
def every_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a model of every card: for slow tests."""
    return _written(tmp_path_factory.mktemp("every") / "demo", known_types())


@pytest.fixture(autouse=True)
def unregistered() -> Iterator[None]:
    """A name belongs to one class: what was rendered here gives its own back."""
    yield
    from levgen.runtime import LmConfig

    known = LmConfig.get_known_choices()
    for name in [name for name, cls in known.items() if cls.__module__.startswith("rendered_")]:
        del known[name]
