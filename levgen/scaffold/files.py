"""A plan of files: what would be created, what is there already, what differs, and what to do about it.

`plan_files` looks and writes nothing. `settle` decides the conflicts. `Plan.write` hands the result to the journal
(`levgen.scaffold.journal`), which writes all of it or none.
"""

import difflib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Any

from levgen.errors import LevgenError
from levgen.scaffold.journal import Write, write_all
from levgen.scaffold.paths import relative_path, resolve_inside


class Action(StrEnum):
    """What happens to one file."""

    CREATE = "create"
    UNCHANGED = "unchanged"  # what is there is the same, line ends apart
    UPDATE = "update"  # what is there is what the plan replaces
    CONFLICT = "conflict"  # what is there differs, and nobody has decided yet
    OVERWRITE = "overwrite"
    KEEP = "keep"


@dataclass(frozen=True)
class PlannedFile:
    """A text file to be written under the root.

    `replaces` is the text that `content` was made from, where it was made by editing what is there: finding exactly
    that text is then no conflict. `shown` is False for a file that diffs leave out: it repeats what others have.
    """

    path: str
    content: str
    replaces: str | None = None
    shown: bool = True


@dataclass(frozen=True)
class Change:
    """A planned file beside what is there now."""

    path: PurePosixPath
    target: Path  # the real file, links followed
    content: str
    before: bytes | None
    action: Action
    shown: bool = True

    @property
    def writes(self) -> bool:
        return self.action in (Action.CREATE, Action.UPDATE, Action.OVERWRITE)

    def diff(self) -> str:
        """The unified diff from what is there to the content."""
        if self.before is None:
            old = ""
        else:
            try:
                old = _unix(self.before.decode("utf-8"))
            except UnicodeDecodeError:
                return f"{self.path} is not UTF-8: its diff can't be shown\n"
        name_before = "/dev/null" if self.before is None else f"a/{self.path}"
        lines = difflib.unified_diff(_lines(old), _lines(self.content), name_before, f"b/{self.path}")
        return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)

    def encoded(self) -> bytes:
        """The bytes to write: UTF-8, with the line ends of the file that is there."""
        text = self.content.replace("\n", "\r\n") if b"\r\n" in (self.before or b"") else self.content
        return text.encode("utf-8")


@dataclass(frozen=True)
class Plan:
    """Changes to the files under `root`, in the order in which they become visible."""

    root: Path
    changes: tuple[Change, ...]

    @property
    def conflicts(self) -> list[Change]:
        return [change for change in self.changes if change.action is Action.CONFLICT]

    def diff(self) -> str:
        """Unified diffs of all files whose content would differ, whether or not they'd be written."""
        return "".join(
            change.diff() for change in self.changes if change.shown and change.action is not Action.UNCHANGED
        )

    def as_json(self, *, written: bool) -> dict[str, Any]:
        """The plan as plain data: `{"root", "written", "files": [{"path", "action"}]}`."""
        files = [{"path": str(change.path), "action": str(change.action)} for change in self.changes]
        return {"root": str(self.root), "written": written, "files": files}

    def write(self) -> None:
        """Writes the files, all or none; see `levgen.scaffold.journal` for what that means under a crash.

        Raises LevgenError while a conflict is undecided, or where the system refuses (read-only, disk full); the
        folder is then as before.
        """
        _refuse_conflicts(self)
        writes = [Write(change.target, change.encoded(), change.before) for change in self.changes if change.writes]
        if writes:
            write_all(self.root, writes)


def plan_files(root: Path, files: Iterable[PlannedFile]) -> Plan:
    """Compares `files` with what is under `root`, which need not exist. Writes nothing.

    The order of `files` is the order in which they become visible: put last what makes the others count.
    Raises LevgenError for a path that leaves the root, one planned twice, or a place taken by no regular file.
    """
    if root.exists() and not root.is_dir():
        raise LevgenError(f"{root} is a file, expected a folder")
    seen: dict[str, PurePosixPath] = {}
    changes = []
    for file in files:
        path = relative_path(file.path)
        twin = seen.setdefault(str(path).casefold(), path)
        if twin is not path:
            same = "are" if twin == path else "on a file system that ignores case would be"
            raise LevgenError(f"two planned files {same} one: {twin} and {path}")
        changes.append(_compare(root, path, file))
    for path in seen.values():
        for folder in path.parents:
            if str(folder).casefold() in seen:
                raise LevgenError(f"{folder} is planned as a file, and as a folder for {path}")
    return Plan(root, tuple(changes))


def settle(plan: Plan, *, force: bool = False, skip: bool = False, ask: Callable[[Change], bool] | None = None) -> Plan:
    """Decides the conflicts of `plan`: all are overwritten (`force`), all kept (`skip`), or each as `ask` says.

    Raises LevgenError listing the conflicts where none of the three is given.
    """
    if force and skip:
        raise LevgenError("--force and --skip contradict each other: give one of them")

    def decide(change: Change) -> Change:
        if change.action is not Action.CONFLICT or not (force or skip or ask):
            return change
        overwrite = force or (not skip and ask is not None and ask(change))
        return replace(change, action=Action.OVERWRITE if overwrite else Action.KEEP)

    settled = replace(plan, changes=tuple(decide(change) for change in plan.changes))
    _refuse_conflicts(settled)
    return settled


def _refuse_conflicts(plan: Plan) -> None:
    if plan.conflicts:
        listed = "\n".join(f"  {change.path}" for change in plan.conflicts)
        raise LevgenError(
            f"these files of {plan.root} are there and differ; nothing was written:\n{listed}",
            "--diff shows the differences, --force overwrites them, --skip keeps yours",
        )


def _compare(root: Path, path: PurePosixPath, file: PlannedFile) -> Change:
    target = resolve_inside(root, path)
    try:
        before = target.read_bytes() if target.exists() else None
    except OSError as error:
        raise LevgenError(f"can't read {target}: {error.strerror}") from error
    if before is None:
        action = Action.CREATE
    elif _same(before, file.content):
        action = Action.UNCHANGED
    elif file.replaces is not None and _same(before, file.replaces):
        action = Action.UPDATE
    else:
        action = Action.CONFLICT
    return Change(path, target, file.content, before, action, file.shown)


def _same(data: bytes, text: str) -> bool:
    try:
        return _unix(data.decode("utf-8")) == text
    except UnicodeDecodeError:
        return False


def _unix(text: str) -> str:
    return text.replace("\r\n", "\n")


def _lines(text: str) -> list[str]:
    return [line for line in re.split(r"(?<=\n)", text) if line]
