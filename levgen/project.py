"""The project around models: its root, and its folders for models, tests and configs."""

import tomllib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from levgen.errors import LevgenError, did_you_mean

FOLDERS = ("models", "tests", "config")
UNREACHABLE = "plain `pytest` can't import the models"
REACHABLE = 'in pyproject.toml: [tool.pytest.ini_options] pythonpath = ["."]'
_HERE = PurePosixPath()
_MODELS, _TESTS, _CONFIG = map(PurePosixPath, FOLDERS)


@dataclass(frozen=True)
class Project:
    """A folder with a `pyproject.toml`, or one that is to become a project (`exists` is False).

    `models`, `tests` and `config` are relative to `root`; `[tool.levgen]` of the pyproject may rename them.
    """

    root: Path
    models: PurePosixPath = _MODELS
    tests: PurePosixPath = _TESTS
    config: PurePosixPath = _CONFIG
    exists: bool = False
    import_roots: tuple[PurePosixPath, ...] = (_HERE,)  # the folders that pytest puts on the path
    tests_find_models: bool = True  # whether plain `pytest` can import the models

    @property
    def models_package(self) -> str:
        """The package of the models as the tests import it: `models`, or `my_package.models` for a `src` layout."""
        inside = [root for root in self.import_roots if self.models.is_relative_to(root)]
        nearest_root = max(inside, key=lambda root: len(root.parts), default=PurePosixPath())
        return ".".join(self.models.relative_to(nearest_root).parts)


def find_project(dest: Path) -> Project:
    """The project that `dest` lies in: the nearest folder upward, `dest` included, with a `pyproject.toml`.

    The search ends at the root of a git repository. A `dest` that doesn't exist is a new project of its own, and so is
    one in a clone of levgen itself. Writes nothing.

    Raises LevgenError for a pyproject that can't be read or whose `[tool.levgen]` is wrong.
    """
    dest = dest.absolute()
    if not dest.exists():
        return Project(dest)
    if not dest.is_dir():
        raise LevgenError(f"{dest} is a file, expected a folder")
    for folder in (dest, *dest.parents):
        pyproject = folder / "pyproject.toml"
        if pyproject.is_file():
            settings = _read(pyproject)
            return Project(dest) if _is_levgen_itself(settings) else _project(folder, pyproject, settings)
        if (folder / ".git").exists():
            break
    return Project(dest)


def _project(root: Path, pyproject: Path, settings: dict[str, Any]) -> Project:
    tool = _table(settings, "tool", pyproject)
    ours = _table(tool, "levgen", pyproject)
    for key, value in ours.items():
        # Tables belong to the commands: `[tool.levgen.check]` is read by `levgen check`.
        if key not in FOLDERS and not isinstance(value, dict):
            hint = did_you_mean(key, FOLDERS) or f"known keys: {', '.join(FOLDERS)}"
            raise LevgenError(f"{pyproject}: [tool.levgen] has no key {key!r}", hint)
    folders = {name: _folder(root, pyproject, name, ours.get(name, name)) for name in FOLDERS}
    for part in folders["models"].parts:
        if not part.isidentifier():
            raise LevgenError(
                f"{pyproject}: [tool.levgen] models = {str(folders['models'])!r} can't be imported",
                f"{part!r} is no Python identifier: rename that folder",
            )
    configured = _python_path(tool)
    import_roots = tuple(configured or [_HERE, PurePosixPath("src")])
    reachable = any(folders["models"].is_relative_to(path) for path in configured)
    return Project(root, **folders, exists=True, import_roots=import_roots, tests_find_models=reachable)


def _folder(root: Path, pyproject: Path, name: str, value: Any) -> PurePosixPath:
    where = f"{pyproject}: [tool.levgen] {name}"
    if not isinstance(value, str) or not value:
        raise LevgenError(f"{where}: expected a folder's relative path, got {value!r}")
    folder = PurePosixPath(value)
    inside = (root / folder).resolve().is_relative_to(root.resolve())
    if folder.is_absolute() or ".." in folder.parts or "\\" in value or not folder.parts or not inside:
        raise LevgenError(f"{where}: {value!r} is not a folder inside the project", f"such as {name!r}")
    return folder


def _python_path(tool: dict[str, Any]) -> list[PurePosixPath]:
    pytest = tool.get("pytest", {})
    options = pytest.get("ini_options", {}) if isinstance(pytest, dict) else {}
    value = options.get("pythonpath", []) if isinstance(options, dict) else []
    paths = value.split() if isinstance(value, str) else value if isinstance(value, list) else []
    return [PurePosixPath(path) for path in paths if isinstance(path, str)]


def _is_levgen_itself(settings: dict[str, Any]) -> bool:
    project = settings.get("project")
    return isinstance(project, dict) and project.get("name") == "levgen"


def _read(pyproject: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(pyproject.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise LevgenError(f"{pyproject} can't be read: {error}") from error


def _table(parent: dict[str, Any], name: str, pyproject: Path) -> dict[str, Any]:
    table = parent.get(name, {})
    if not isinstance(table, dict):
        raise LevgenError(f"{pyproject}: expected {name} to be a table, got {table!r}")
    return table
