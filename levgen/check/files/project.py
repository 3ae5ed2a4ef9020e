"""The project around the files: where models, tests and configs are, and where a class's source is."""

import ast
import functools
import os
import tomllib
from pathlib import Path
from typing import Any

from levgen.check.files.classes import ClassInfo
from levgen.check.files.model_file import ModelFile, defines_model
from levgen.check.files.places import is_hidden, read_text
from levgen.check.files.pytest_file import TestFile, is_test
from levgen.check.files.python_file import PythonFile
from levgen.errors import LevgenError

# How far up the root of an import may lie.
_FOLDERS_UP = 5


class Project:
    """One project, or the files of no project at all when `root` is None. Files are parsed once and kept."""

    def __init__(self, root: Path | None) -> None:
        self.root = root
        self._files: dict[str, PythonFile | None] = {}
        self._texts: dict[str, str] = {}
        self._listings: dict[str, frozenset[str]] = {}
        self._modules: dict[tuple[str, int, tuple[str, ...]], str | None] = {}

    @functools.cached_property
    def pyproject_path(self) -> Path:
        return (self.root or Path()) / "pyproject.toml"

    @functools.cached_property
    def pyproject_text(self) -> str:
        return self.pyproject_path.read_text(encoding="utf-8") if self.root else ""

    @functools.cached_property
    def pyproject(self) -> dict[str, Any]:
        """The parsed `pyproject.toml`.

        Raises:
            LevgenError: it is no TOML.
        """
        try:
            return tomllib.loads(self.pyproject_text)
        except tomllib.TOMLDecodeError as error:
            raise LevgenError(f"{self.pyproject_path} is not valid TOML: {error}") from error

    @property
    def levgen(self) -> dict[str, Any]:
        """The table `[tool.levgen]`."""
        table = self.pyproject.get("tool", {}).get("levgen", {})
        return table if isinstance(table, dict) else {}

    def folder(self, kind: str) -> Path | None:
        """The folder of `models`, `tests` or `config`: `[tool.levgen]` may name another."""
        if self.root is None:
            return None
        named = self.levgen.get(kind, kind)
        return self.root / (named if isinstance(named, str) else kind)

    def text(self, path: str) -> str:
        """The text of a file, kept after the first time; empty where it cannot be read."""
        if path not in self._texts:
            try:
                self._texts[path] = read_text(path)
            except (OSError, ValueError):
                self._texts[path] = ""
        return self._texts[path]

    def load(self, path: str) -> PythonFile | None:
        """The parsed file of an absolute path, kept after the first time; None where it cannot be read or parsed."""
        if path not in self._files:
            try:
                self.parse(Path(path), read_text(path))
            except (OSError, SyntaxError, ValueError, RecursionError):
                self._files[path] = None
        return self._files[path]

    def parse(self, path: Path, text: str) -> PythonFile:
        """Parse and remember a file; its name and its classes decide its kind.

        Raises:
            SyntaxError, ValueError, RecursionError: the text is no Python.
        """
        place = os.path.realpath(path)
        known = self._files.get(place)
        if known is not None and known.text == text:
            return known
        tree = ast.parse(text, filename=str(path))
        kind = TestFile if is_test(path) else ModelFile if defines_model(tree) else PythonFile
        file = self._files[place] = kind(path, place, text, self, tree)
        return file

    @functools.cached_property
    def model_files(self) -> list[ModelFile]:
        """The model files of the project's `models` folder."""
        folder = self.folder("models")
        if folder is None or not folder.is_dir():
            return []
        loaded = (
            self.load(os.path.realpath(path)) for path in sorted(folder.rglob("*.py")) if not is_hidden(path, folder)
        )
        return [file for file in loaded if isinstance(file, ModelFile)]

    def find_class(self, file: PythonFile, name: str, *, far: bool = False) -> ClassInfo | None:
        """The class that `name` means in `file`, if its source lies in the same folder, or with `far` around it."""
        if name in file.classes:
            return file.classes[name]
        place = self.find_module(file, name, far=far)
        source = self.load(place) if place is not None else None
        if source is None or source is file:
            return None
        return self.find_class(source, file.imports[name].rpartition(".")[2], far=far)

    def find_module(self, file: PythonFile, name: str, *, far: bool = False) -> str | None:
        """The path of the module that the imported `name` comes from, in the same folder, or with `far` anywhere."""
        imported = file.imports.get(name)
        if imported is None:
            return None
        module = imported.rpartition(".")[0]
        dots = len(module) - len(module.lstrip("."))
        parts = [part for part in module[dots:].split(".") if part]
        folder = os.path.dirname(file.place)
        if not parts and not dots:
            return None
        beside = dots == 1 or (dots == 0 and len(parts) > 1 and parts[-2] == os.path.basename(folder))
        if parts and (beside or (dots == 0 and len(parts) == 1)) and f"{parts[-1]}.py" in self._listing(folder):
            return os.path.join(folder, f"{parts[-1]}.py")
        return self._far_module(folder, dots, tuple(parts)) if far else None

    def _listing(self, folder: str) -> frozenset[str]:
        if folder not in self._listings:
            self._listings[folder] = frozenset(os.listdir(folder)) if os.path.isdir(folder) else frozenset()
        return self._listings[folder]

    def _far_module(self, folder: str, dots: int, parts: tuple[str, ...]) -> str | None:
        """Where a module's source is, seen from the folders around; None for installed packages."""
        key = (folder, dots, parts)
        if key not in self._modules:
            around = Path(folder)
            # What lies outside of a project is not its source.
            folders = [one for one in (around, *around.parents[:_FOLDERS_UP]) if self._is_inside(one)]
            if dots:
                folders = folders[dots - 1 : dots]
            bases = [one.joinpath(*parts) for one in folders]
            candidates = [path for base in bases for path in (base.parent / f"{base.name}.py", base / "__init__.py")]
            self._modules[key] = next((str(path) for path in candidates if path.is_file()), None)
        return self._modules[key]

    def _is_inside(self, folder: Path) -> bool:
        return self.root is None or folder.is_relative_to(os.path.realpath(self.root))

    def importers(self, file: PythonFile) -> list[PythonFile]:
        """The other files of the same folder that import from this one."""
        folder, name = os.path.split(file.place)
        stem = name.removesuffix(".py")
        found = []
        for one in sorted(self._listing(folder)):
            place = os.path.join(folder, one)
            if not one.endswith(".py") or place == file.place:
                continue
            # Parsing waits until the text shows that it may import the file.
            known = self._files.get(place)
            if known is None and stem not in self.text(place):
                continue
            other = self.load(place)
            if other is not None and stem in other.modules_imported:
                found.append(other)
        return found
