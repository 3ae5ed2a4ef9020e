"""A project with a small model, its YAML and the text and tokenizer that levgen ships."""

import io
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rich.console import Console

from levgen.training import data_dir

EXAMPLE = Path(__file__).parent / "project"


def copy_project(folder: Path) -> Path:
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(data_dir(), folder / "data", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture(scope="session", autouse=True)
def compiled_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The runs of these tests compile much the same functions: each is compiled once a session."""
    import jax

    names = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")
    before = {name: getattr(jax.config, name) for name in names}
    for name, value in zip(names, (str(tmp_path_factory.mktemp("compiled")), 0.0), strict=True):
        jax.config.update(name, value)
    yield
    for name, value in before.items():
        jax.config.update(name, value)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The example's folder, which is the working directory too."""
    folder = copy_project(tmp_path / "project")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def yaml_file(project: Path) -> Callable[..., Path]:
    """The example's YAML with parts of its text replaced: `yaml_file(("old", "new"), ...)`."""

    def write(*replacements: tuple[str, str]) -> Path:
        path = project / "config" / "tiny.yaml"
        text = path.read_text()
        for old, new in replacements:
            assert old in text
            text = text.replace(old, new)
        path.write_text(text)
        return path.relative_to(project)

    return write


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=200)


@pytest.fixture
def llama(project: Path) -> None:
    """The generated Llama, small, in the place of the example's model: one that transformers has too."""
    golden = Path(__file__).parents[1] / "golden" / "models" / "llama.py.txt"
    (project / "models" / "llama.py").write_text(golden.read_text())
    path = project / "config" / "tiny.yaml"
    text = path.read_text()
    small = "hidden_dim: 32\n  intermediate_dim: 48\n  num_layers: 2\n  num_heads: 4\n  num_kv_heads: 2\n  head_dim: 8"
    path.write_text(text.replace("type: tiny", "type: llama").replace("hidden_dim: 32", small))
