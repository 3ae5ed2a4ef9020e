"""Finding and importing the project's models, and building a model's config from the YAML's `model:` section."""

import dataclasses
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

import draccus
from draccus.utils import ParsingError

from levgen.errors import LevgenError, did_you_mean
from levgen.importing import import_file
from levgen.runtime import LmConfig
from levgen.training.levanter_keys import RENAMED
from levgen.training.project import Project
from levgen.training.validate import problems_error
from levgen.training.yaml_source import YamlSource

PACKAGE = "models"  # whatever the folder is called: a class keeps its full name when the folder moves


class BrokenModelError(LevgenError):
    """A model's file that can't be imported."""


def import_model(path: Path) -> ModuleType:
    """Imports the file `path` as `models.<its name>`; a file that is imported already is not run again.

    Raises:
        BrokenModelError: whatever the file raised, with its line.
    """
    name = f"{PACKAGE}.{path.stem}"
    loaded = sys.modules.get(name)
    if loaded is not None and Path(loaded.__file__ or "").resolve() == path.resolve():
        return loaded
    _package_of(path.parent)
    try:
        return import_file(path, name)
    except Exception as error:
        raise BrokenModelError(f"the model file {path} can't be imported: {_where(error, path)}") from error


def resolve_model(source: YamlSource, project: Project) -> LmConfig:
    """The config that the `model:` section of `source` describes, of the class registered under its `type`.

    `models/<type>.py` is imported first, and the other files of the folder only if that doesn't register the type.

    Raises:
        LevgenError: no such model, or fields that its class hasn't got or can't take: all at once, with lines.
    """
    section = dict(source.values["model"])
    kind = section.pop("type")
    return _decode(find_class(kind, project), section, source)


def find_class(kind: str, project: Project) -> type[LmConfig]:
    """The config class of the project's model of type `kind`."""
    files = sorted(project.models.glob("*.py"), key=lambda path: (path.stem != kind, path.stem))
    broken = []
    for path in files:
        if path.stem.startswith("_"):
            continue
        try:
            module = import_model(path)
        except BrokenModelError as error:
            if path.stem == kind:
                raise
            broken.append(error.message)
            continue
        found: type[LmConfig] | None = LmConfig.get_known_choices().get(kind)
        if found is not None and found.__module__ == module.__name__:
            return found
    known = list(_imported())
    guess = did_you_mean(kind, [name for name in known if name != kind])
    hints = [guess or f"known: {', '.join(sorted(known)) or 'none'}", *broken]
    raise LevgenError(f"no model of type {kind!r} in {project.models}", "\n".join(hints))


def project_models(project: Project) -> tuple[dict[str, type[LmConfig]], list[str]]:
    """The config class of every model of the project, by the name that it is registered under, and what is broken."""
    broken = []
    for path in sorted(project.models.glob("*.py")):
        if not path.stem.startswith("_"):
            try:
                import_model(path)
            except BrokenModelError as error:
                broken.append(error.message)
    return _imported(), broken


def _imported() -> dict[str, type[LmConfig]]:
    known: dict[str, type[LmConfig]] = LmConfig.get_known_choices()
    return {name: cls for name, cls in known.items() if cls.__module__.startswith(f"{PACKAGE}.")}


def _decode(cls: type[LmConfig], section: dict[str, Any], source: YamlSource) -> LmConfig:
    fields = {field.name: field for field in dataclasses.fields(cls) if field.init}
    problems = []
    for name in section:
        if name in fields:
            try:
                draccus.decode(fields[name].type, section[name])
            except (ParsingError, ValueError, TypeError) as error:
                expected = getattr(fields[name].type, "__name__", fields[name].type)
                message = f"expected {expected}, got {section[name]!r}: {str(error).splitlines()[-1]}"
                problems.append(source.problem(("model", name), message))
        else:
            renamed = RENAMED.get(f"model.{name}")
            guess = did_you_mean(name, fields) or f"known: {', '.join(fields)}"
            hint = f"now {renamed}" if renamed else guess
            problems.append(source.problem(("model", name), f"{cls.__name__} has no such field; {hint}"))
    if problems:
        raise problems_error(source.path, problems)
    try:
        config: LmConfig = draccus.decode(cls, section)
    except (ParsingError, ValueError, TypeError) as error:
        raise problems_error(source.path, [source.problem(("model",), str(error))]) from error
    return config


def _package_of(folder: Path) -> None:
    """Puts a package `models` for `folder` in place, so that one model's file can import another's."""
    package = sys.modules.get(PACKAGE)
    if package is None or str(folder) not in list(getattr(package, "__path__", [])):
        package = ModuleType(PACKAGE)
        package.__path__ = [str(folder)]
        sys.modules[PACKAGE] = package


def _where(error: Exception, path: Path) -> str:
    """`line 12: NameError: ...`: the last line of `path` itself in the traceback."""
    if isinstance(error, SyntaxError):
        return f"line {error.lineno}: {error.msg}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    place = f"line {lines[-1]}: " if lines else ""
    return f"{place}{type(error).__name__}: {error}"
