"""What the tests of proofs share: a project with models that have little in common, and subjects of it."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from levgen.prove.subject import Files, Subject, find_files, load_subject

MODELS = ("llama", "gpt2", "gemma2", "olmo2")


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with the models, as `levgen new-model` writes them. Not to be changed."""
    root = tmp_path_factory.mktemp("prove") / "demo"
    for model in MODELS:
        _write(model, root)
    return root


def _write(model: str, root: Path) -> None:
    command = [sys.executable, "-m", "levgen", "new-model", model, "--dest", str(root)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def project(written: Path, tmp_path: Path) -> Path:
    """A copy of that project for one test."""
    return Path(shutil.copytree(written, tmp_path / "demo"))


@pytest.fixture(autouse=True)
def _modules_stay() -> Iterator[None]:
    """What a test imports as a project's models is gone after it, and so are their registrations."""
    from levgen.runtime import LmConfig

    modules, registered = dict(sys.modules), dict(LmConfig.get_known_choices())
    yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "models"]:
        if name in modules:
            sys.modules[name] = modules[name]
        else:
            del sys.modules[name]
    LmConfig._choice_registry.clear()
    LmConfig._choice_registry.update(registered)


@pytest.fixture
def files(written: Path) -> Callable[[str], Files]:
    """`files(model)`: its files in the shared project, where a model beyond MODELS is written when it is asked for."""

    def find(model: str) -> Files:
        if not (written / "models" / f"{model}.py").exists():
            _write(model, written)
        return find_files(model, written)

    return find


@pytest.fixture
def subject(files: Callable[[str], Files]) -> Callable[..., Subject]:
    """`subject(model)`: the model as it was written; `subject(model, source)`: with another text."""

    def load(model: str, source: str | None = None) -> Subject:
        loaded = load_subject(files(model))
        return loaded if source is None else loaded.with_source(source)

    return load
