"""Writing several files as one: all of them or none, also when the process is killed.

A folder that doesn't exist yet is made complete under a hidden name beside it and appears by one rename. So does an
empty folder, unless someone stands in it (its replacement would leave their shell in a deleted folder).

Files added to a folder with content can't all appear at one instant: file systems have no rename of several files.
What is guaranteed there:

- Until every file is staged and on disk in `.levgen-journal`, nothing else in the folder is touched. Killed before,
  the folder is as it was, apart from that hidden folder, which the next command removes.
- Then the files are renamed into place, in the order given; signals that can wait do, so only SIGKILL or a power cut
  stops in the middle of these few renames. The next command (`recover`) then does the rest from the journal. Callers
  give last the file that makes the others count.
- The old content of every overwritten file stays in the journal until all are in place. An error on the way (a full
  disk, a read-only folder) puts the old content back at once.
"""

import json
import os
import shutil
import stat
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from levgen.errors import LevgenError
from levgen.scaffold.disk import digest, locked, store, sync_folder, umask, uninterrupted

JOURNAL = ".levgen-journal"
_FORWARD, _BACK = "forward.json", "back.json"


@dataclass(frozen=True)
class Write:
    """One file to write: `target` is absolute with links resolved, `before` what it holds (None: it isn't there)."""

    target: Path
    content: bytes
    before: bytes | None


def write_all(root: Path, writes: Sequence[Write]) -> None:
    """Writes all of `writes`, which lie under `root`, or none.

    Raises LevgenError where a file changed since `before` was read, another levgen writes there, or the system
    refuses.
    """
    recover(root)
    root = root.resolve()
    try:
        if not root.exists() or _is_replaceable(root):
            _write_new(root, writes)
        else:
            _write_into(root, writes)
    except OSError as error:
        where = error.filename or root
        raise LevgenError(
            f"can't write {where}: {error.strerror or error}", f"nothing was written; {root} is as it was"
        ) from error


def recover(root: Path) -> bool:
    """Finishes a write that was interrupted in `root`. Returns whether there was one with anything left to do.

    Raises LevgenError where another levgen is writing, or where files have changed since in a way that finishing
    would lose.
    """
    journal = root / JOURNAL
    if not journal.is_dir() or journal.is_symlink():
        return False
    root = root.resolve()
    with locked(journal):
        forward, back = journal / _FORWARD, journal / _BACK
        pending = back if back.exists() else forward if forward.exists() else None
        if pending is not None:
            entries = _read_manifest(pending)
            _refuse_changed(root, journal, entries)
            with uninterrupted():
                if pending == back:
                    _roll_back(root, journal, entries)
                else:
                    _roll_forward(root, journal, entries)
        _discard(journal)
    return pending is not None


def checkpoint(step: str) -> None:
    """Called between the steps of a write; tests replace it to kill the process there."""


@dataclass(frozen=True)
class _Entry:
    """A line of the manifest: paths are relative to the root."""

    target: str
    before: str | None  # digests of the content
    after: str
    new_folders: list[str]  # folders that exist only for this file, innermost first


def _write_new(root: Path, writes: Sequence[Write]) -> None:
    """Makes the folder `root`, missing or empty, with the files in it, by one rename."""
    top = root
    while not top.parent.exists():
        top = top.parent
    prefix = f".{top.name}.levgen-"
    _remove_stale(top.parent, prefix)
    stage = Path(tempfile.mkdtemp(prefix=prefix, dir=top.parent))
    try:
        with locked(stage):
            checkpoint("staging")
            inside = stage / root.relative_to(top)
            for write in writes:
                staged = inside / write.target.relative_to(root)
                staged.parent.mkdir(parents=True, exist_ok=True)
                store(staged, write.content, like=None)
                checkpoint("staged")
            for folder in [stage, *(path for path in stage.rglob("*") if path.is_dir())]:
                sync_folder(folder)
            stage.chmod(stat.S_IMODE(root.stat().st_mode) if root.exists() else 0o777 & ~umask())
            checkpoint("complete")
            if os.name == "nt" and top.exists():
                top.rmdir()
            stage.rename(top)
            checkpoint("renamed")
            sync_folder(top.parent)
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _write_into(root: Path, writes: Sequence[Write]) -> None:
    """Adds the files to a folder with content, through the journal."""
    journal = root / JOURNAL
    try:
        journal.mkdir()
    except FileExistsError as error:
        raise LevgenError(f"another levgen is writing in {root}", "try again when it has finished") from error
    with locked(journal):
        try:
            checkpoint("journal")
            entries = [_stage(root, journal, index, write) for index, write in enumerate(writes)]
            store(journal / "manifest", json.dumps([vars(entry) for entry in entries]).encode(), like=None)
            sync_folder(journal)
            checkpoint("manifest")
            os.rename(journal / "manifest", journal / _FORWARD)
            sync_folder(journal)
        except BaseException:
            _discard(journal)
            raise
        with uninterrupted():
            checkpoint("committed")
            try:
                _roll_forward(root, journal, entries)
            except OSError:
                os.rename(journal / _FORWARD, journal / _BACK)
                _roll_back(root, journal, entries)
                _discard(journal)
                raise
            checkpoint("applied")
            _discard(journal)


def _stage(root: Path, journal: Path, index: int, write: Write) -> _Entry:
    present = write.target.read_bytes() if write.target.exists() else None
    if present != write.before:
        raise LevgenError(f"{write.target} changed while levgen was at work; nothing was written", "run it again")
    store(journal / f"{index}.new", write.content, like=None if present is None else write.target)
    if present is not None:
        backup = journal / f"{index}.old"
        try:
            os.link(write.target, backup)
        except OSError:  # a file system without hard links
            shutil.copy2(write.target, backup)
    checkpoint("staged")
    return _Entry(
        target=write.target.relative_to(root).as_posix(),
        before=None if present is None else digest(present),
        after=digest(write.content),
        new_folders=[path.relative_to(root).as_posix() for path in write.target.parents if not path.exists()],
    )


def _roll_forward(root: Path, journal: Path, entries: Sequence[_Entry]) -> None:
    """Moves what is still staged into place. Doing it again after a crash does the rest."""
    for index, entry in enumerate(entries):
        staged, target = journal / f"{index}.new", root / entry.target
        if staged.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(staged, target)
            checkpoint("replaced")
    for folder in {(root / entry.target).parent for entry in entries}:
        sync_folder(folder)


def _roll_back(root: Path, journal: Path, entries: Sequence[_Entry]) -> None:
    """Puts back what the files held before. Doing it again after a crash does the rest."""
    for index, entry in enumerate(entries):
        target, backup = root / entry.target, journal / f"{index}.old"
        if backup.exists():
            os.replace(backup, target)
        elif entry.before is None:
            if not (journal / f"{index}.new").exists():
                target.unlink(missing_ok=True)
            for folder in entry.new_folders:
                with suppress(OSError):  # it has other files
                    (root / folder).rmdir()
        checkpoint("restored")


def _refuse_changed(root: Path, journal: Path, entries: Sequence[_Entry]) -> None:
    """Before an interrupted write is finished: nobody may have worked on its files since."""
    changed = []
    for entry in entries:
        target = root / entry.target
        present = digest(target.read_bytes()) if target.is_file() else None
        if present not in (entry.before, entry.after):
            changed.append(entry.target)
    if changed:
        raise LevgenError(
            f"a write in {root} was interrupted, and {', '.join(changed)} changed since",
            f"{journal} has the new files (N.new) and the old (N.old), in the order of its manifest: "
            "take what you need and delete that folder",
        )


def _read_manifest(path: Path) -> list[_Entry]:
    try:
        return [_Entry(**entry) for entry in json.loads(path.read_bytes())]
    except (ValueError, TypeError) as error:
        raise LevgenError(f"{path} is damaged: {error}", f"look at {path.parent} and delete that folder") from error


def _is_replaceable(folder: Path) -> bool:
    """Whether `folder` can be replaced by another of its name and nobody notices."""
    with os.scandir(folder) as entries:
        if next(entries, None) is not None:
            return False
    if os.path.ismount(folder) or (hasattr(os, "geteuid") and folder.stat().st_uid != os.geteuid()):
        return False
    try:
        return not Path.cwd().is_relative_to(folder)
    except FileNotFoundError:  # the working folder was deleted
        return True


def _remove_stale(parent: Path, prefix: str) -> None:
    """Removes what killed runs staged in `parent`; a run that is alive holds its lock."""
    for stage in parent.glob(f"{prefix}*"):
        with suppress(LevgenError), locked(stage):
            shutil.rmtree(stage, ignore_errors=True)


def _discard(journal: Path) -> None:
    # The manifest goes first: a journal without one is garbage whatever else is left of it.
    for name in (_FORWARD, _BACK):
        (journal / name).unlink(missing_ok=True)
    checkpoint("discarding")
    shutil.rmtree(journal, ignore_errors=True)
