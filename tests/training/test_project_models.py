from collections.abc import Callable
from pathlib import Path

import pytest

from levgen.errors import LevgenError
from levgen.training.models import BrokenModelError, import_model, resolve_model
from levgen.training.project import find_project
from levgen.training.validate import load

Edit = Callable[..., Path]


def resolve(path: Path) -> object:
    return resolve_model(load(path).source, find_project(path))


def message(path: Path) -> str:
    with pytest.raises(LevgenError) as caught:
        resolve(path)
    return str(caught.value)


def test_config_of_the_yaml(yaml_file: Edit) -> None:
    config = resolve(yaml_file(("  hidden_dim: 32", "  hidden_dim: 16\n  rope: {theta: 500.0}")))
    assert type(config).__module__ == "models.tiny"
    assert config.hidden_dim == 16
    assert config.rope.theta == 500.0
    assert config.num_layers == 2


def test_every_wrong_field_with_its_line(yaml_file: Edit) -> None:
    path = yaml_file(("  hidden_dim: 32", "  hiden_dim: 32\n  num_layers: two\n  zzz: 1"))
    lines = message(path).splitlines()
    assert lines[0] == "config/tiny.yaml has 3 problems:"
    assert lines[1] == "  line 14: model.hiden_dim: TinyConfig has no such field; did you mean 'hidden_dim'?"
    assert lines[2].startswith("  line 15: model.num_layers: expected int, got 'two': ")
    assert lines[3] == (
        "  line 16: model.zzz: TinyConfig has no such field; "
        "known: max_seq_len, hidden_dim, num_layers, num_heads, rope"
    )


def test_unknown_type_names_the_nearest(yaml_file: Edit, project: Path) -> None:
    path = yaml_file(("type: tiny", "type: tinny"))
    assert message(path) == f"no model of type 'tinny' in {project / 'models'}\ndid you mean 'tiny'?"


def test_a_type_may_stand_in_a_file_of_another_name(yaml_file: Edit, project: Path) -> None:
    source = (project / "models" / "tiny.py").read_text()
    source = source.replace('register_subclass("tiny")', 'register_subclass("tinier")')
    (project / "models" / "small.py").write_text(source)
    (project / "models" / "broken.py").write_text("import nothing_of_that_name\n")  # no concern of this run
    assert type(resolve(yaml_file(("type: tiny", "type: tinier")))).__module__ == "models.small"


def test_broken_model_file(yaml_file: Edit, project: Path) -> None:
    file = project / "models" / "tiny.py"
    file.write_text(file.read_text().replace("num_layers: int = 2", "num_layers: int = two"))
    line = next(n for n, text in enumerate(file.read_text().splitlines(), start=1) if "= two" in text)
    assert message(yaml_file()) == (
        f"the model file {file} can't be imported: line {line}: NameError: name 'two' is not defined"
    )
    file.write_text("def broken(:\n")
    with pytest.raises(BrokenModelError, match="line 1: invalid syntax"):
        import_model(file)


def test_one_model_imports_another_and_a_file_runs_once(project: Path) -> None:
    (project / "models" / "other.py").write_text("from models.tiny import TinyConfig\n")
    other = import_model(project / "models" / "other.py")
    assert import_model(project / "models" / "other.py") is other
    assert import_model(project / "models" / "tiny.py").TinyConfig is other.TinyConfig


def test_folders_of_the_project_may_have_other_names(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.levgen]\nmodels = "src/nets"\n')
    (tmp_path / "a" / "b").mkdir(parents=True)
    project = find_project(tmp_path / "a" / "b")
    assert (project.root, project.models, project.config) == (tmp_path, tmp_path / "src/nets", tmp_path / "config")


@pytest.mark.parametrize("content", ["[tool", "[tool.levgen]\nmodels = 3"])
def test_broken_pyproject(tmp_path: Path, content: str) -> None:
    (tmp_path / "pyproject.toml").write_text(content)
    with pytest.raises(LevgenError, match=r"pyproject\.toml"):
        find_project(tmp_path)
