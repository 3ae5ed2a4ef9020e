"""From paths on the command line to the files that are read."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from levgen.check.files.places import is_hidden
from levgen.errors import LevgenError

SUFFIXES = frozenset({".py", ".yaml", ".yml"})


def _below(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        if path.suffix in SUFFIXES and not is_hidden(path, folder) and path.is_file():
            yield path


def collect(paths: Iterable[Path]) -> list[Path]:
    """The Python and YAML files that paths name, each once, sorted.

    Raises:
        LevgenError: a path that does not exist, or paths that name no file to check.
    """
    given = list(paths)
    found: dict[Path, Path] = {}
    for path in given:
        if not path.exists():
            raise LevgenError(f"{path} does not exist", "give files or folders that do")
        for file in _below(path) if path.is_dir() else [path]:
            if file.suffix in SUFFIXES:
                found.setdefault(file.resolve(), file)
    if not found:
        named = ", ".join(map(str, given))
        raise LevgenError(f"no file to check in {named}", "levgen check reads .py, .yaml and .yml files")
    return sorted(found.values())
