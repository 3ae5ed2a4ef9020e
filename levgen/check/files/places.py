"""Where files are: a project's root, what in it is no source, and the text of a file."""

from pathlib import Path

_NOT_SOURCE = frozenset({"build", "dist", "node_modules", "venv", "__pycache__", "site-packages"})


def find_root(start: Path) -> Path | None:
    """The nearest folder upward, `start` included, that holds a `pyproject.toml`."""
    folder = start if start.is_dir() else start.parent
    return next((one for one in (folder, *folder.parents) if (one / "pyproject.toml").is_file()), None)


def read_text(path: str | Path) -> str:
    """The text of a file as Python reads it.

    Raises:
        OSError, UnicodeDecodeError: it cannot be read.
    """
    with open(path, "rb") as stream:
        return stream.read().decode("utf-8-sig")


def is_hidden(path: Path, root: Path) -> bool:
    """Whether a path below `root` is no source of the person's: hidden, built, or installed."""
    return any(is_hidden_name(part) for part in path.relative_to(root).parts)


def is_hidden_name(name: str) -> bool:
    """Whether a file or folder of this name, and all below it, is no source of the person's."""
    return name.startswith(".") or name in _NOT_SOURCE
