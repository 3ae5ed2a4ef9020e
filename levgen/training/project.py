"""The project around a training YAML: its root and where its models stand."""

from dataclasses import dataclass
from pathlib import Path

import levgen.project


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
    """The project of the file or folder `start`, else the working directory with the usual folders.

    Raises:
        LevgenError: a `pyproject.toml` that is not TOML, or whose `[tool.levgen]` is wrong.
    """
    found = levgen.project.find_project(start if start.is_dir() else start.absolute().parent)
    root = found.root if found.exists else Path.cwd()
    return Project(root, *(root / folder for folder in (found.models, found.tests, found.config)))
