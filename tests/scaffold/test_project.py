"""Finding the project around a folder, and making one."""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path, PurePosixPath

import pytest
import yaml

from levgen.errors import LevgenError
from levgen.project import find_project
from levgen.resources import templates
from levgen.scaffold.files import plan_files
from levgen.scaffold.project import project_files, project_name


def write(path, text=""):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_the_nearest_pyproject_upward(tmp_path):
    write(tmp_path / "pyproject.toml", '[tool.levgen]\nmodels = "src/zoo/models"\ntests = "checks"\n')
    (tmp_path / "deep/er").mkdir(parents=True)
    project = find_project(tmp_path / "deep/er")
    assert (project.root, project.exists) == (tmp_path, True)
    assert [str(folder) for folder in (project.models, project.tests, project.config)] == [
        "src/zoo/models",
        "checks",
        "config",
    ]
    assert project.models_package == "zoo.models"
    assert project.tests_find_models is False


@pytest.mark.parametrize(
    ("pytest_options", "package", "reachable"),
    [
        ("", "models", False),
        ('pythonpath = ["."]', "models", True),
        ('pythonpath = "tests ."', "models", True),
        ('pythonpath = ["src"]', "models", False),
    ],
)
def test_whether_plain_pytest_finds_the_models(tmp_path, pytest_options, package, reachable):
    write(tmp_path / "pyproject.toml", f"[tool.pytest.ini_options]\n{pytest_options}\n")
    project = find_project(tmp_path)
    assert (project.models_package, project.tests_find_models) == (package, reachable)


@pytest.mark.parametrize("case", ["missing", "no pyproject", "levgen's clone", "another repository"])
def test_what_is_no_project_yet(tmp_path, case):
    dest = tmp_path / "demo"
    write(tmp_path / "pyproject.toml", '[project]\nname = "levgen"\n' if case == "levgen's clone" else "")
    if case == "no pyproject":
        (tmp_path / "pyproject.toml").unlink()
    if case != "missing":
        dest.mkdir()
    # A repository ends the search, so that what lies above the test's own folder doesn't count.
    (dest if case == "another repository" else tmp_path).joinpath(".git").mkdir()
    project = find_project(dest)
    assert (project.root, project.exists, project.models_package) == (dest, False, "models")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[", "can't be read"),
        ("tool = 1", "to be a table"),
        ("[tool]\nlevgen = 1", "to be a table"),
        ('[tool.levgen]\nmodel = "x"', "no key 'model'"),
        ("[tool.levgen]\nmodels = 1", "expected a folder"),
        ('[tool.levgen]\nmodels = ""', "expected a folder"),
        ('[tool.levgen]\nmodels = "."', "not a folder inside"),
        ('[tool.levgen]\nmodels = "../x"', "not a folder inside"),
        ('[tool.levgen]\nconfig = "/etc"', "not a folder inside"),
        ('[tool.levgen]\ntests = "a\\\\b"', "not a folder inside"),
        ('[tool.levgen]\ntests = "out"', "not a folder inside"),
        ('[tool.levgen]\nmodels = "my-models"', "can't be imported"),
    ],
)
def test_a_wrong_pyproject_is_refused(tmp_path, text, said):
    root = tmp_path / "project"
    write(root / "pyproject.toml", text)
    (root / "out").symlink_to(tmp_path)
    with pytest.raises(LevgenError) as caught:
        find_project(root)
    assert said in caught.value.message
    assert "pyproject.toml" in caught.value.message
    if "model'" in said:
        assert caught.value.hint == "did you mean 'models'?"


def test_tables_of_the_commands_are_theirs(tmp_path):
    write(tmp_path / "pyproject.toml", "[tool.levgen.check]\nselect = []\n")
    assert find_project(tmp_path).exists


def test_a_file_is_no_destination(tmp_path):
    write(tmp_path / "file")
    with pytest.raises(LevgenError, match="is a file"):
        find_project(tmp_path / "file")


@pytest.mark.parametrize(
    ("folder", "name"), [("demo", "demo"), ("My Ports!", "my-ports"), ("a__b.c", "a-b-c"), ("모델", "ports")]
)
def test_the_name_follows_the_folder(tmp_path, folder, name):
    assert project_name(tmp_path / folder) == name
    files = {file.path: file.content for file in project_files(tmp_path / folder)}
    pyproject = tomllib.loads(files["pyproject.toml"])
    assert pyproject["project"]["name"] == name
    assert files["README.md"].startswith(f"# {name}\n")
    assert yaml.safe_load(files[".copier-answers.yml"])["project_name"] == name


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A project as `levgen new-model` makes it, apart from the model."""
    root = tmp_path_factory.mktemp("made") / "demo"
    plan_files(root, project_files(root)).write()
    return root


def test_what_is_in_a_project(made):
    files = {path.relative_to(made).as_posix() for path in made.rglob("*") if path.is_file()}
    hidden = {".copier-answers.yml", ".github/workflows/ci.yml", ".gitignore", ".pre-commit-config.yaml"}
    assert hidden | {"README.md", "pyproject.toml", "models/__init__.py", "tests/conftest.py"} <= files
    assert {"data/train.jsonl", "data/validation.jsonl", "data/tokenizer/tokenizer.json"} <= files
    assert not [path for path in files if path.endswith((".jinja", ".pyc", "build.py"))]
    project = find_project(made)
    assert (project.exists, project.tests_find_models, project.models) == (True, True, PurePosixPath("models"))


def test_it_is_the_same_every_time(made):
    plan = plan_files(made, project_files(made))
    assert [change.path for change in plan.changes if change.action != "unchanged"] == []


def test_its_yaml_parses_and_its_python_is_formatted(made):
    for path in (".github/workflows/ci.yml", ".pre-commit-config.yaml"):
        assert yaml.safe_load((made / path).read_text())
    for command in (["format", "--check"], ["check"]):
        done = subprocess.run([sys.executable, "-m", "ruff", *command, str(made)], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


def test_plain_pytest_imports_its_models(made, tmp_path):
    root = tmp_path / "demo"
    plan_files(root, project_files(root)).write()
    write(root / "models/tiny.py", "SIZE = 3\n")
    write(
        root / "tests/test_tiny.py",
        "import os\n\nfrom models.tiny import SIZE\n\n\ndef test_size():\n    assert SIZE == 3\n"
        '    assert os.environ["HF_HUB_OFFLINE"] == "1"\n',
    )
    done = subprocess.run([sys.executable, "-m", "pytest", "-q"], cwd=root, capture_output=True, text=True)
    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_copier_brings_it_up_to_date(made, tmp_path):
    """`copier recopy` finds the template and the answers in the project, and has nothing to change in a fresh one."""
    root = tmp_path / "demo"
    plan_files(root, project_files(root)).write()
    import copier

    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    copier.run_recopy(str(root), defaults=True, overwrite=True, quiet=True)
    assert {path: path.read_bytes() for path in root.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(("answer", "value"), [("project_name", "x\"]\ny = '"), ("levgen_version", "1; import os")])
def test_the_template_refuses_hostile_answers(tmp_path, answer, value):
    import copier

    with pytest.raises(ValueError, match=answer):
        copier.run_copy(str(templates() / "project"), tmp_path, data={answer: value}, defaults=True, quiet=True)
    assert list(tmp_path.iterdir()) == []


def test_the_template_runs_nothing():
    settings = yaml.safe_load((templates() / "project/copier.yml").read_text())
    assert not {"_tasks", "_migrations", "_jinja_extensions"} & set(settings)


def test_compiled_files_of_an_installed_template_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pip compiles every Python file that it installs, the template's too."""
    installed = tmp_path / "templates"
    shutil.copytree(templates() / "project", installed / "project")
    cache = installed / "project/template/models/__pycache__"
    cache.mkdir(exist_ok=True)
    (cache / "__init__.cpython-311.pyc").write_bytes(b"\xcb\x0d\x0d\x0a")
    monkeypatch.setattr("levgen.scaffold.project.templates", lambda: installed)
    assert not [file.path for file in project_files(tmp_path / "demo") if "__pycache__" in file.path]
