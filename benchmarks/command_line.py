"""The command line's wall time, whole processes against whole processes."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks.generated import generated_files
from benchmarks.table import Comparison, Ratio
from benchmarks.timing import Runner, interleaved
from levgen.project import find_project
from levgen.resources import templates

REPO = Path(__file__).parents[1]
PASS, AST_PASS = "python -c pass", "ast.parse + ast.walk"
NEW_MODEL, COPIER = "levgen new-model llama", "copier copy, the same files"
CHECK = "levgen check"
LINES = 8700  # of models and tests to check

_AST_SOURCE = """
import ast, sys
from pathlib import Path
for name in sys.argv[1:]:
    for node in ast.walk(ast.parse(Path(name).read_bytes())):
        pass
"""


def run(*, quick: bool) -> list[Comparison]:
    """Three tables: starting, writing a model, checking."""
    lines, rounds = (600, 1) if quick else (LINES, 15)
    with tempfile.TemporaryDirectory(prefix="levgen-benchmark-") as scratch:
        folder = Path(scratch)
        return [_start(folder, rounds), _write(folder, rounds), _check(folder, lines, rounds)]


def _start(folder: Path, rounds: int) -> Comparison:
    runners = {
        PASS: _process(["-c", "pass"], folder),
        "levgen --help": _process(["-m", "levgen", "--help"], folder),
        "levgen --version": _process(["-m", "levgen", "--version"], folder),
        "levgen new-model --help": _process(["-m", "levgen", "new-model", "--help"], folder),
    }
    aims = {"levgen --help": 7}
    ratios = [Ratio(name, PASS, aims.get(name)) for name in runners if name != PASS]
    return Comparison("Start", interleaved("Start", runners, rounds), ratios)


def _write(folder: Path, rounds: int) -> Comparison:
    project = _project(folder / "project")
    template = _template(folder / "template", project)
    whole = folder / "project_template"
    shutil.copytree(templates() / "project", whole)
    fresh = folder / "fresh"
    new_model = ["-m", "levgen", "new-model", "llama", "--defaults"]
    copier = ["-m", "copier", "copy", "--quiet", "--defaults"]
    runners = {
        NEW_MODEL: _process(new_model, fresh, copy_of=project),
        f"{NEW_MODEL} --dry-run": _process([*new_model, "--dry-run"], fresh, copy_of=project),
        COPIER: _process([*copier, str(template), "."], fresh, copy_of=project),
        "copier copy, levgen's project": _process([*copier, str(whole), "new"], fresh, copy_of=project),
    }
    aims = {NEW_MODEL: 0.5, f"{NEW_MODEL} --dry-run": 0.5}
    ratios = [Ratio(name, COPIER, aims.get(name)) for name in runners if name != COPIER]
    return Comparison("Write a model into a project", interleaved("Write", runners, rounds), ratios)


def _check(folder: Path, lines: int, rounds: int) -> Comparison:
    project = _project(folder / "checked")
    files, written = _models_and_tests(project, lines)
    names = [str(file.relative_to(project)) for file in files]
    runners = {
        AST_PASS: _process(["-c", _AST_SOURCE, *names], project),
        f"{AST_PASS}, gc off": _process(["-c", f"import gc; gc.disable(){_AST_SOURCE}", *names], project),
        CHECK: _process(["-m", "levgen", "check", *names], project),
        f"{CHECK} --no-cache": _process(["-m", "levgen", "check", "--no-cache", *names], project),
        f"{CHECK} --no-cache, YAMLs too": _process(["-m", "levgen", "check", "--no-cache"], project),
    }
    aims = {CHECK: 1.5, f"{CHECK} --no-cache": 1.5}
    ratios = [Ratio(name, AST_PASS, aims.get(name)) for name in runners if name != AST_PASS]
    title = f"Check {len(files)} files of {written} lines"
    return Comparison(title, interleaved("Check", runners, rounds), ratios)


def _project(root: Path) -> Path:
    """A project without a model."""
    root.mkdir()
    (root / "pyproject.toml").write_text('[project]\nname = "ports"\nversion = "0"\n', encoding="utf-8")
    return root


def _template(root: Path, project: Path) -> Path:
    """A copier template that writes what `levgen new-model llama` does."""
    for file in generated_files("llama", "llama", find_project(project)):
        _store(root / "template" / f"{file.path}.jinja", file.content)
    _store(root / "copier.yml", "_subdirectory: template\n")
    return root


def _models_and_tests(project: Path, lines: int) -> tuple[list[Path], int]:
    """Models with their tests and configs in `project`, two types in turn, until they have so many lines of Python."""
    python: list[Path] = []
    written = 0
    while written < lines:
        number = len(python) // 2
        for file in generated_files(f"model_{number}", ("llama", "gpt2")[number % 2], find_project(project)):
            _store(project / file.path, file.content)
            if file.path.endswith(".py"):
                python.append(project / file.path)
                written += file.content.count("\n")
    return python, written


def _store(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")


def _process(arguments: Sequence[str], folder: Path, *, copy_of: Path | None = None) -> Runner:
    """`python ARGUMENTS` in `folder`, which is made anew from `copy_of` before each run."""
    environment = {**os.environ, "PYTHONPATH": str(REPO), "NO_COLOR": "1"}
    # pip compiles what it installs, copier as well as levgen: a checkout must keep what it compiled, too.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)

    def renew() -> None:
        if copy_of is not None:
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(copy_of, folder)

    return Runner(partial(_run, [sys.executable, *arguments], folder, environment), prepare=renew)


def _run(command: list[str], folder: Path, environment: dict[str, str]) -> None:
    """Raises RuntimeError where the command fails: a run that breaks off is no measurement."""
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} exited with {done.returncode}:\n{done.stdout}{done.stderr}")
