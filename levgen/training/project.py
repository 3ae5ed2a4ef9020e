"""The project around a training YAML: its root and where its models stand."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from levgen.errors import LevgenError

FOLDERS = ("models", "tests", "config")


@dataclass(frozen=True)
class Project:
    """A folder with a `pyproject.toml`, whose `[tool.levgen]` may rename the folders for models, tests and YAMLs."""

    root: Path
    models: Path
    tests: Path
    config: Path

    def find(self, path: str) -> Path:
        """The file or folder `path`, seen from the working directory or else from the root; it need not exist."""
        from_here = Path(path).expanduser()
        return from_here.absolute() if from_here.exists() else self.place(path)

    def place(self, path: str) -> Path:
        """Where to write `path`: a relative one is seen from the root."""
        return self.root / Path(path).expanduser()


def find_project(start: Path) -> Project:
    """The project of the file or folder `start`: the nearest `pyproject.toml` upward, else the working directory.

    Raises:
        LevgenError: a `pyproject.toml` that is not TOML, or whose folders are not strings.
    """
    start = start.absolute()
    root = next((folder for folder in (start, *start.parents) if (folder / "pyproject.toml").is_file()), None)
    if root is None:
        root, settings = Path.cwd(), {}
    else:
        settings = _settings(root / "pyproject.toml")
    return Project(root, *(root / settings.get(folder, folder) for folder in FOLDERS))


def _settings(pyproject: Path) -> dict[str, str]:
    try:
        settings = tomllib.loads(pyproject.read_text(encoding="utf-8")).get("tool", {}).get("levgen", {})
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise LevgenError(f"{pyproject} can't be read: {error}") from error
    for folder in FOLDERS:
        if not isinstance(settings.get(folder, folder), str):
            raise LevgenError(f"{pyproject}: [tool.levgen] {folder}: expected a path, got {settings[folder]!r}")
    return dict(settings)
