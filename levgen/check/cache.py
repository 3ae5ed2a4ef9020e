"""The findings of the last run, kept as long as nothing that they depend on has changed.

What a file's findings depend on is not only the file: a model's hyperparameters may be read in another. So a run is
kept as a whole, under a digest of every source of the projects that its files belong to, of the rules, and of what was
asked. It lies in `.levgen_cache/` of the project, which git is told to ignore.
"""

import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from levgen.check.collect import SUFFIXES, collect
from levgen.check.files.places import find_root, is_hidden_name
from levgen.check.finding import Edit, Finding, Report, Skipped

FOLDER = ".levgen_cache"
_PACKAGE = Path(__file__).parents[1]


def run_cached(paths: Sequence[Path], *, select: Sequence[str] = (), ignore: Sequence[str] = ()) -> Report:
    """What `levgen.check.runner.run` finds, without running it where that is known from the last time.

    Files of no project are checked anew each time, and so is everything where the cache can't be read or written.

    Raises:
        LevgenError: as `run`.
    """
    files = collect(paths)
    roots = {folder: find_root(folder) for folder in {file.resolve().parent for file in files}}
    projects = sorted({root for root in roots.values() if root is not None})
    if None in roots.values():
        return _run(paths, select, ignore)
    asked = [os.getcwd(), *map(str, files), "--select", *select, "--ignore", *ignore]
    place = projects[0] / FOLDER / "check" / f"{_digest(asked)[:16]}.json"
    state = _digest([sys.version, *_stamps(_PACKAGE), *(text for root in projects for text in _sources(root))])
    known = _read(place, state, files)
    if known is not None:
        return known
    report = _run(paths, select, ignore)
    _write(place, state, report)
    return report


def _run(paths: Sequence[Path], select: Sequence[str], ignore: Sequence[str]) -> Report:
    # Not at the top: a run that is known needs no rule.
    from levgen.check.runner import run

    return run(paths, select=select, ignore=ignore)


def _digest(parts: Iterable[str | bytes]) -> str:
    digest = hashlib.blake2b(digest_size=32)
    for part in parts:
        data = part.encode("utf-8", "surrogateescape") if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()


def _stamps(package: Path) -> Iterator[str]:
    """Path, size and time of levgen's own sources: they hold the rules."""
    for entry in _below(package):
        stat = entry.stat()
        yield f"{entry.path} {stat.st_size} {stat.st_mtime_ns}"


def _sources(root: Path) -> Iterator[str | bytes]:
    """Path and content of every file of a project that a rule may read, and the paths of its folders."""
    yield str(root)
    yield (root / "pyproject.toml").read_bytes()
    for entry in _below(root):
        yield entry.path
        if not entry.is_dir():
            yield Path(entry.path).read_bytes()


def _below(folder: str | Path) -> Iterator["os.DirEntry[str]"]:
    """Folders and sources below `folder`, in a fixed order."""
    with os.scandir(folder) as entries:
        listed = sorted(entries, key=lambda entry: entry.name)
    for entry in listed:
        if is_hidden_name(entry.name):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield entry
            yield from _below(entry.path)
        elif os.path.splitext(entry.name)[1] in SUFFIXES and entry.is_file():
            yield entry


def _read(place: Path, state: str, files: Sequence[Path]) -> Report | None:
    """The report of this state, if that is what is kept; None for anything else, a broken file included."""
    try:
        kept = json.loads(place.read_bytes())
        if kept["state"] != state:
            return None
        findings = tuple(_finding(**one) for one in kept["findings"])
        skipped = tuple(Skipped(one["reason"], Path(one["path"]), one["code"]) for one in kept["skipped"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Report(findings, skipped, tuple(files))


def _finding(path: str, fix: Sequence[Sequence[Any]], **rest: Any) -> Finding:
    return Finding(path=Path(path), fix=tuple(Edit(*edit) for edit in fix), **rest)


def _write(place: Path, state: str, report: Report) -> None:
    kept = {
        "state": state,
        "findings": [
            _plain(vars(one)) | {"fix": [list(vars(edit).values()) for edit in one.fix]} for one in report.findings
        ],
        "skipped": [_plain(vars(one)) for one in report.skipped],
    }
    partial = place.with_suffix(f".{os.getpid()}")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        (place.parents[1] / ".gitignore").write_text("*\n", encoding="utf-8")
        partial.write_text(json.dumps(kept), encoding="utf-8")
        partial.replace(place)
    except OSError:  # a folder that can't be written to has no cache
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def _plain(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: str(value) if isinstance(value, Path) else value for name, value in fields.items()}
