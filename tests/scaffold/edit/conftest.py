"""A project with models in it, as new-model writes them, and what the tests of editing ask of an edit."""

from collections.abc import Callable
from pathlib import Path

import pytest

from levgen.architecture.catalogue import find
from levgen.project import Project, find_project
from levgen.scaffold.blank import blank
from levgen.scaffold.complete import complete
from levgen.scaffold.names import model_name
from levgen.scaffold.port import port_files

HERE = Path(__file__).parent

PYPROJECT = """\
[tool.pytest.ini_options]
pythonpath = ["."]
xfail_strict = true
filterwarnings = ["error", "ignore::DeprecationWarning:haliax.*"]

[tool.ruff]
line-length = 120
target-version = "py311"

[tool.ruff.lint]
select = ["E4", "E7", "E9", "F", "I"]
"""


@pytest.fixture
def project_with(tmp_path: Path) -> Callable[[str], Project]:
    """Writes a project with one model: a known type, or stubs for any other name."""

    def write(name: str) -> Project:
        (tmp_path / "pyproject.toml").write_text(PYPROJECT)
        project, model = find_project(tmp_path), model_name(name)
        card = find(name)
        architecture = blank(model) if card is None else complete(card)
        for file in port_files(architecture, model, project):
            path = tmp_path / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(file.content)
        return project

    return write


@pytest.fixture
def edited_by_a_person(project_with: Callable[[str], Project]) -> Project:
    """A Llama that a person has made their own, in every way that levgen has to cope with; it has no record."""
    project = project_with("llama")
    root = project.root
    (root / "models/llama.py").write_text((HERE / "edited_model.py.txt").read_text())
    (root / "tests/test_llama.py").write_text((HERE / "edited_tests.py.txt").read_text())
    (root / ".levgen/llama.yaml").unlink()
    return project
