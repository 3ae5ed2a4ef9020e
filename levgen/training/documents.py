"""Reading documents from files: `.jsonl` (one object a row) and `.txt` (one document a file), each also `.gz`."""

import glob
import gzip
import json
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from levgen.errors import LevgenError, did_you_mean
from levgen.training.project import Project

KINDS = (".jsonl", ".txt")


class DataError(LevgenError):
    """A data file that is missing, broken or empty."""


def find_files(urls: list[str], project: Project) -> list[Path]:
    """The files that `urls` name, seen from the working directory or else from the project's root.

    A pattern (`*`, `?`, `[...]`, and `**` for folders of any depth) stands for the files that match, in the order of
    their names.

    Raises:
        DataError: an address of the network, a missing file, a pattern without match, an unknown kind of file, a file
            that is named twice.
    """
    files = [file for url in urls for file in _files(url, project)]
    twice = [file for file, count in Counter(files).items() if count > 1]
    if twice:
        raise DataError(f"{twice[0]} is named twice, which would give its documents twice the weight", "name it once")
    return files


def _files(url: str, project: Project) -> list[Path]:
    if "://" in url:
        raise DataError(f"the local engine reads files, not addresses: {url}", "`--engine levanter` reads those")
    if glob.has_magic(url) and not project.find(url).is_file():
        return _matching(url, project)
    return [_find_file(url, project)]


def _matching(pattern: str, project: Project) -> list[Path]:
    for base in (Path.cwd(), project.root):
        found = glob.glob(str(Path(pattern).expanduser()), root_dir=base, recursive=True)
        files = sorted(path for path in (base / name for name in found) if path.is_file())
        if files:
            return [_checked(path) for path in files]
    raise DataError(f"no file matches {pattern} in {Path.cwd()} nor in {project.root}")


def _find_file(url: str, project: Project) -> Path:
    path = project.find(url)
    if not path.is_file():
        names = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
        raise DataError(f"no data file {url} in {Path.cwd()} nor in {project.root}", did_you_mean(path.name, names))
    return _checked(path)


def _checked(path: Path) -> Path:
    if _kind(path) not in KINDS:
        raise DataError(f"{path}: expected a file named {' or '.join(KINDS)}, with or without .gz")
    return path


def read_documents(path: Path, text_key: str) -> Iterator[str]:
    """The texts in `path`, in order; rows with an empty text are left out.

    Raises:
        DataError: naming the file, and the line in a `.jsonl`.
    """
    return (text for text in read_rows(path, text_key) if text.strip())


def read_rows(path: Path, text_key: str) -> Iterator[str]:
    """As `read_documents`, with the empty texts: of a file as a whole, or of each row that isn't blank."""
    text = _decode(path, _unpack(path))
    if _kind(path) == ".txt":
        yield text
        return
    for number, row in enumerate(text.split("\n"), start=1):
        if row.strip():
            yield _text_of_row(row, text_key, f"{path}:{number}")


def _kind(path: Path) -> str:
    return Path(path.stem).suffix if path.suffix == ".gz" else path.suffix


def _unpack(path: Path) -> bytes:
    content = path.read_bytes()
    if path.suffix != ".gz":
        return content
    try:
        return gzip.decompress(content)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path} is not a whole gzip file: {error}") from error


def _decode(path: Path, content: bytes) -> str:
    if not content.strip():
        raise DataError(f"{path} is empty")
    if b"\0" in content:
        raise DataError(f"{path} is binary (a zero byte at offset {content.index(0)}); expected UTF-8 text")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 text: {error.reason} at offset {error.start}") from error


def _text_of_row(row: str, text_key: str, where: str) -> str:
    try:
        value = json.loads(row)
    except json.JSONDecodeError as error:
        raise DataError(f"{where}: not a JSON object: {error.msg} at column {error.colno}") from error
    if not isinstance(value, dict):
        raise DataError(f"{where}: expected an object with the key {text_key!r}, got {type(value).__name__}")
    if text_key not in value:
        guess = did_you_mean(text_key, value)
        hint = f"{guess or 'set data.components.<name>.format.text_key'}; its keys: {', '.join(value) or 'none'}"
        raise DataError(f"{where}: no key {text_key!r}", hint)
    text = value[text_key]
    if not isinstance(text, str):
        raise DataError(f"{where}: expected a string under {text_key!r}, got {type(text).__name__}")
    return text
