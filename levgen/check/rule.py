"""What a rule is: a module with a manual page as its docstring and one `check` function.

A module `rules/<family>/lev101_unread_config_field.py` gives a rule its code and its name, its docstring is the manual
(see `manual.py`), and one function, marked by the decorator of what it reads, finds the problems:

    @model_rule
    def check(model: ModelFile) -> Iterator[Problem]: ...
"""

import ast
import enum
import functools
import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from levgen.check.finding import Edit

if TYPE_CHECKING:
    from levgen.check.files.model_file import ModelFile
    from levgen.check.files.project import Project
    from levgen.check.files.pytest_file import TestFile
    from levgen.check.files.python_file import PythonFile
    from levgen.check.files.yaml_file import YamlFile


class CannotCheckError(Exception):
    """Raised by a rule that lacks what it needs: reported as 'skipped, because ...'."""


class Scope(enum.Enum):
    """What a rule reads."""

    PYTHON = "every Python file that is no test"
    ANY_PYTHON = "every Python file"
    MODEL = "a model file"
    TEST = "a test file"
    YAML = "a training configuration"
    PROJECT = "the project"
    RUNNER = "reported by the runner itself"


@dataclass(frozen=True)
class Span:
    """A place: lines from 1, columns from 0, as in `ast`."""

    line: int
    column: int
    end_line: int
    end_column: int

    @classmethod
    def of(cls, node: ast.expr | ast.stmt | ast.arg | ast.keyword | ast.excepthandler) -> "Span":
        return cls(node.lineno, node.col_offset, node.end_lineno or node.lineno, node.end_col_offset or node.col_offset)

    @classmethod
    def of_name(cls, node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> "Span":
        """The line of `class X` or `def f`, without its body."""
        length = len("class ") if isinstance(node, ast.ClassDef) else len("def ")
        start = node.col_offset + length
        return cls(node.lineno, start, node.lineno, start + len(node.name))


@dataclass(frozen=True)
class Problem:
    """What a rule yields. `at` is a syntax node or a span; `fix` holds edits that are safe to make unasked."""

    at: ast.AST | Span
    message: str
    fix: tuple[Edit, ...] = ()

    @property
    def span(self) -> Span:
        if isinstance(self.at, Span):
            return self.at
        if isinstance(self.at, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            return Span.of_name(self.at)
        return Span.of(self.at)  # type: ignore[arg-type]


Checker = Callable[[Any], Iterable[Problem]]


@dataclass(frozen=True)
class Check:
    """A check function and what it reads."""

    scope: Scope
    function: Checker


def python_rule(function: "Callable[[PythonFile], Iterable[Problem]]") -> Check:
    return Check(Scope.PYTHON, function)


def any_python_rule(function: "Callable[[PythonFile], Iterable[Problem]]") -> Check:
    return Check(Scope.ANY_PYTHON, function)


def model_rule(function: "Callable[[ModelFile], Iterable[Problem]]") -> Check:
    return Check(Scope.MODEL, function)


def test_rule(function: "Callable[[TestFile], Iterable[Problem]]") -> Check:
    return Check(Scope.TEST, function)


def yaml_rule(function: "Callable[[YamlFile], Iterable[Problem]]") -> Check:
    return Check(Scope.YAML, function)


def project_rule(function: "Callable[[Project], Iterable[Problem]]") -> Check:
    """The rule reads a project; its problems stand in `pyproject.toml`."""
    return Check(Scope.PROJECT, function)


def _reported_elsewhere(_: object) -> Iterable[Problem]:
    return ()


runner_rule = Check(Scope.RUNNER, _reported_elsewhere)


@dataclass(frozen=True)
class Rule:
    """A rule as the registry knows it: its module is imported when its check or its page is asked for."""

    code: str
    name: str
    module: str

    @functools.cached_property
    def check(self) -> Check:
        """The module's check function.

        Raises:
            ImportError: the module has none, or no manual: a defect of the rule.
        """
        check = getattr(importlib.import_module(self.module), "check", None)
        if not isinstance(check, Check) or not self.page:
            raise ImportError(f"{self.module}: a rule needs a manual as its docstring and a decorated function `check`")
        return check

    @functools.cached_property
    def page(self) -> str:
        """The text of the manual."""
        return importlib.import_module(self.module).__doc__ or ""

    @property
    def family(self) -> str:
        return self.module.split(".")[-2]
