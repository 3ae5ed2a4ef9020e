"""Runs the rules over files."""

import contextlib
import gc
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from levgen.check import suppressions
from levgen.check.collect import collect
from levgen.check.files.model_file import ModelFile
from levgen.check.files.places import find_root, read_text
from levgen.check.files.project import Project
from levgen.check.files.pytest_file import TestFile
from levgen.check.files.python_file import PythonFile
from levgen.check.files.yaml_file import YamlFile, YamlSyntaxError
from levgen.check.finding import Finding, Report, Skipped
from levgen.check.registry import rules_of
from levgen.check.rule import CannotCheckError, Problem, Rule, Scope, Span
from levgen.check.settings import Settings, read_settings

_START = Span(1, 0, 1, 1)


def _finding(path: Path, code: str, problem: Problem) -> Finding:
    span = problem.span
    return Finding(
        path, span.line, span.column + 1, code, problem.message, span.end_line, span.end_column + 1, problem.fix
    )


def _scopes(file: object) -> tuple[Scope, ...]:
    if isinstance(file, ModelFile):
        return (Scope.ANY_PYTHON, Scope.PYTHON, Scope.MODEL)
    if isinstance(file, TestFile):
        return (Scope.ANY_PYTHON, Scope.TEST)
    if isinstance(file, PythonFile):
        return (Scope.ANY_PYTHON, Scope.PYTHON)
    return (Scope.YAML,)


class _Run:
    """One run: projects by root, and what was found so far."""

    def __init__(self, select: Iterable[str], ignore: Iterable[str]) -> None:
        self.select, self.ignore = tuple(select), tuple(ignore)
        self.projects: dict[Path | None, tuple[Project, Settings]] = {}
        self.skipped: list[Skipped] = []

    def project_of(self, path: Path) -> tuple[Project, Settings]:
        root = find_root(path.resolve())
        if root not in self.projects:
            project = Project(root)
            self.projects[root] = (project, read_settings(project, self.select, self.ignore))
        return self.projects[root]

    def _parse(self, project: Project, path: Path) -> tuple[Any, str, Finding | None]:
        """The parsed file, its text, and the finding of a file that cannot be parsed."""
        text = ""
        try:
            text = read_text(path)
            if path.suffix == ".py":
                return project.parse(path, text), text, None
            yaml_file = YamlFile(path, text, project)
            return (yaml_file if yaml_file.is_training_config else None), text, None
        except SyntaxError as error:
            line, column = error.lineno or 1, max((error.offset or 1) - 1, 0)
            problem = Problem(Span(line, column, line, column + 1), f"does not parse: {error.msg}")
        except YamlSyntaxError as error:
            problem = Problem(error.span, f"is no YAML that levgen can read: {error}")
            return None, text, _finding(path, "LEV501", problem)
        except RecursionError:
            problem = Problem(_START, "is nested too deeply to be read")
        except (OSError, ValueError) as error:
            problem = Problem(_START, f"cannot be read: {error}")
        return None, text, _finding(path, "LEV001" if path.suffix == ".py" else "LEV501", problem)

    def check_file(self, path: Path) -> list[Finding]:
        project, settings = self.project_of(path)
        active = settings.codes(path)
        file, text, broken = self._parse(project, path)
        if broken is not None:
            if broken.code in active:
                return [broken]
            self.skipped.append(Skipped("the file does not parse", path, broken.code))
            return []
        if file is None:
            return []
        findings = [
            finding
            for scope in _scopes(file)
            for rule in rules_of(scope)
            if rule.code in active
            for finding in self._apply(rule, file, path)
        ]
        comments = suppressions.read_suppressions(path, text)
        if comments:
            findings = suppressions.apply(comments, findings)
            skipped = {one.code for one in self.skipped if one.path == path}
            findings += [
                _finding(path, code, problem)
                for code, problem in suppressions.problems(comments, active - skipped)
                if code in active
            ]
        return findings

    def check_project(self, project: Project, settings: Settings) -> list[Finding]:
        if project.root is None:
            return []
        path = Path(os.path.relpath(project.pyproject_path))
        active = settings.codes(path)
        return [
            finding
            for rule in rules_of(Scope.PROJECT)
            if rule.code in active
            for finding in self._apply(rule, project, path)
        ]

    def _apply(self, rule: Rule, file: object, path: Path) -> Iterator[Finding]:
        try:
            for problem in rule.check.function(file):
                yield _finding(path, rule.code, problem)
        except CannotCheckError as reason:
            self.skipped.append(Skipped(str(reason), path, rule.code))


@contextlib.contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Syntax trees are many objects that all live to the end: looking through them for garbage takes most of a run."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def run(paths: Iterable[Path | str], *, select: Iterable[str] = (), ignore: Iterable[str] = ()) -> Report:
    """Check files, and those of folders, by the rules that `select`, `ignore` and each project's settings leave on.

    Codes, prefixes of codes and names of rules are understood.

    Raises:
        LevgenError: no such path, no file to check, an unknown code, broken settings.
    """
    this_run = _Run(select, ignore)
    files = collect(Path(path) for path in paths)
    with _without_garbage_collection():
        findings = [finding for path in files for finding in this_run.check_file(path)]
        for project, settings in this_run.projects.values():
            findings += this_run.check_project(project, settings)
    return Report(tuple(sorted(set(findings))), tuple(sorted(set(this_run.skipped))), tuple(files))


def check_paths(
    paths: Iterable[Path | str], *, select: Iterable[str] = (), ignore: Iterable[str] = ()
) -> list[Finding]:
    """The findings of `run`, sorted by path, place and code."""
    return list(run(paths, select=select, ignore=ignore).findings)
