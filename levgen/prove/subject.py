"""The model to be proven: its file, its test file, and the configs that the tests compare with the reference."""

import ast
import dataclasses
import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from levgen.check.analysis.unwritten import unwritten_classes
from levgen.errors import LevgenError, did_you_mean
from levgen.project import Project, find_project

if TYPE_CHECKING:
    from levgen.scaffold.views.unknown import UnknownView


class BrokenModelError(LevgenError):
    """A model file that can't be imported."""


@dataclass(frozen=True)
class Files:
    """The files of a model in a project. `record` need not exist: a model written by hand has none."""

    project: Project
    name: str
    model: Path
    tests: Path
    record: Path

    @property
    def module_name(self) -> str:
        """The name under which tests import the model."""
        return f"{self.project.models_package}.{self.name}"

    def shown(self, path: Path) -> str:
        """`path` as seen from the project's root."""
        return path.relative_to(self.project.root).as_posix()

    def hashes(self) -> dict[str, str]:
        """`sha256:...` of the files that a proof is about, by their paths in the project."""
        return {
            self.shown(path): f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
            for path in (self.model, self.tests)
            if path.is_file()
        }


def find_files(name: str, dest: Path) -> Files:
    """The files of the model `name` in the project of `dest`.

    Raises LevgenError where there is no project, no such model in it, or no test file of it.
    """
    project = find_project(dest)
    if not project.exists:
        raise LevgenError(f"{dest} is in no project of levgen", "give the project's folder with --dest")
    files = files_of(name, project)
    if not files.model.is_file():
        known = [path.stem for path in model_files(project)]
        hint = did_you_mean(name, known) or (f"there are {', '.join(known)}" if known else "there are none yet")
        raise LevgenError(f"no model {name!r}: {files.model} doesn't exist", hint)
    if not files.tests.is_file():
        raise LevgenError(
            f"{files.shown(files.model)} has no tests: {files.tests} doesn't exist",
            "its config TINY is what a proof is run with: `levgen new-model` writes such a file",
        )
    return files


def files_of(name: str, project: Project) -> Files:
    """Where the files of `name` are, or would be."""
    return Files(
        project,
        name,
        model=project.root / project.models / f"{name}.py",
        tests=project.root / project.tests / f"test_{name}.py",
        record=project.root / ".levgen" / f"{name}.yaml",
    )


def stubs_of(files: Files) -> list[str]:
    """The classes of a model that are still to be written, as its source says; none for source that isn't Python."""
    try:
        return unwritten_classes(ast.parse(files.model.read_bytes()))
    except (OSError, SyntaxError, ValueError):
        return []


def model_files(project: Project) -> list[Path]:
    """The model files of a project, sorted."""
    folder = project.root / project.models
    return sorted(path for path in folder.glob("*.py") if not path.stem.startswith("_"))


@dataclass(frozen=True)
class Subject:
    """A model that was imported.

    config: the tests' TINY. variations: other configs that the tests compare, by what they change.
    rotations: configs of the tests for long positions, one a kind of rotary positions.
    """

    files: Files
    source: str
    module: ModuleType
    model_class: Any
    config: Any
    variations: dict[str, Any]
    rotations: dict[str, Any]

    @property
    def stubs(self) -> list[str]:
        """The classes whose forward is still to be written."""
        return unwritten_classes(ast.parse(self.source))

    @property
    def unknown(self) -> "list[UnknownView]":
        """The modules that the survey behind the model didn't understand, as its record has them."""
        from levgen.architecture.card import parse_card
        from levgen.scaffold.names import model_name
        from levgen.scaffold.record import read_record_data
        from levgen.scaffold.views.port import PortView

        card = read_record_data(self.files.record).get("architecture")
        if not isinstance(card, dict) or not card.get("unknown"):
            return []
        architecture = parse_card(card, source=str(self.files.record))
        return list(PortView(architecture, model_name(self.files.name)).unknown.values())

    @property
    def config_class(self) -> Any:
        return type(self.config)

    def with_source(self, source: str) -> "Subject":
        """The same with another text of the model file, and the configs that this text makes of the tests'.

        Raises whatever running the text raises.
        """
        return _subject(self.files, source, self.files.tests.read_text(encoding="utf-8"))


def load_subject(files: Files) -> Subject:
    """Imports the model and reads the tests' configs.

    Raises BrokenModelError, with the line, for a model that can't be imported, and LevgenError for tests without a
    config `TINY`.
    """
    source = files.model.read_text(encoding="utf-8")
    tests = files.tests.read_text(encoding="utf-8")
    try:
        run_source(files, source)
    except Exception as error:
        message = f"{files.shown(files.model)} can't be imported: {_where(error, files.model)}"
        raise BrokenModelError(message) from error
    return _subject(files, source, tests)


def run_source(files: Files, source: str) -> ModuleType:
    """A module of `source`, which stands in `sys.modules` in place of the model's: dataclasses look it up there."""
    for root in reversed(files.project.import_roots):
        path = str(files.project.root / root)
        if path not in sys.path:
            sys.path.insert(0, path)
    module = ModuleType(files.module_name)
    module.__file__ = str(files.model)
    sys.modules[files.module_name] = module
    exec(compile(source, str(files.model), "exec"), vars(module))
    return module


def _subject(files: Files, source: str, tests: str) -> Subject:
    module = run_source(files, source)
    tree = _parsed(tests, files)
    names = _names(module)
    config = _tiny(tree, names, files)
    names["TINY"] = config
    by_value = list(_configs(tree, names))
    from levgen.runtime import Rotary

    rotations = {str(value.kind): made for _, value, made in by_value if isinstance(value, Rotary)}
    variations = {_label(name, value): made for name, value, made in by_value if not isinstance(value, Rotary)}
    return Subject(files, source, module, config.model_type, config, variations, rotations)


def _names(module: ModuleType) -> dict[str, Any]:
    """What an expression of the test file may name: the model's names, the runtime's, and dataclasses."""
    import levgen.runtime

    exported = {name: getattr(levgen.runtime, name) for name in levgen.runtime.__all__}
    return {**exported, **vars(module), "dataclasses": dataclasses}


def _parsed(tests: str, files: Files) -> ast.Module:
    try:
        return ast.parse(tests)
    except SyntaxError as error:
        raise LevgenError(f"{files.shown(files.tests)}, line {error.lineno}: {error.msg}") from error


def _tiny(tree: ast.Module, names: dict[str, Any], files: Files) -> Any:
    for node in tree.body:
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["TINY"]:
            return _value(node.value, names)
    raise LevgenError(
        f"{files.shown(files.tests)} has no config TINY", "write `TINY = ...Config(...)`, small, each axis of its size"
    )


def _configs(tree: ast.Module, names: dict[str, Any]) -> Any:
    """(argument, value, config) for each value that a test is parametrised with and makes `config = ...` of."""
    for function in tree.body:
        if not isinstance(function, ast.FunctionDef):
            continue
        made = [
            node.value
            for node in function.body
            if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["config"]
        ]
        for decorator in function.decorator_list:
            match decorator:
                case ast.Call(args=[ast.Constant(value=str(argument)), ast.List(elts=values), *_]) if made:
                    for node in values:
                        value = _value(node, names)
                        yield argument, value, _value(made[0], {**names, argument: value})


def _value(node: ast.expr, names: dict[str, Any]) -> Any:
    # The test file's own code, which a proof runs anyway.
    return eval(compile(ast.Expression(node), "<tests>", "eval"), names)


def _label(argument: str, value: Any) -> str:
    changes = value if isinstance(value, dict) else {argument: value}
    return ", ".join(f"{name}={change}" for name, change in changes.items())


def _where(error: Exception, path: Path) -> str:
    import traceback

    if isinstance(error, SyntaxError):
        return f"line {error.lineno}: {error.msg}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return f"{f'line {lines[-1]}: ' if lines else ''}{type(error).__name__}: {error}"
