"""Bringing a port up to date: its answers, rendered by this levgen and merged into the files as they are now."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from levgen.architecture.catalogue import find
from levgen.architecture.schema import Architecture
from levgen.architecture.settings import apply_settings
from levgen.errors import LevgenError
from levgen.project import Project
from levgen.scaffold.complete import complete
from levgen.scaffold.edit.record import read_record
from levgen.scaffold.files import PlannedFile
from levgen.scaffold.merge import Side, merge
from levgen.scaffold.names import ModelName
from levgen.scaffold.port import is_kept_for_levgen, port_files
from levgen.scaffold.record import read_record_data
from levgen.scaffold.rendered import read_rendered, rendered_path


@dataclass(frozen=True)
class Update:
    """The files of a port after the merge, and what the person should know about it."""

    files: tuple[PlannedFile, ...]
    notes: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()  # `models/llama.py:12-15`: where both changed the same lines


def plan_update(project: Project, name: ModelName, settings: Sequence[str], *, side: Side = Side.MARKERS) -> Update:
    """Plans the update of the model `name`. Reads, and writes nothing.

    Its answers are those of its record, changed by `settings`. A file that nobody has edited becomes what levgen writes
    now; in one that somebody has, each change that levgen makes is made where the person changed nothing.

    Raises LevgenError where there is no record to go by, where a setting doesn't fit, or where a file can't be read.
    """
    shown = f".levgen/{name.snake}.yaml"
    record = read_record(project.root / shown, shown)
    if record is None:
        raise LevgenError(
            f"{shown} is missing: without the record levgen doesn't know what {name.snake} was made from",
            f"take it back from version control, or see what would differ: `levgen new-model {name.snake} --diff`",
        )
    changed = complete(apply_settings(record.architecture, settings))
    notes = []
    if record.architecture.reference is not None and changed.reference is None:
        notes.append(f"no model of transformers has this architecture: {name.snake} has no parity tests any more")
    notes += _news_of_the_card(record.architecture)
    base = _written_before(project, name, record.architecture)
    files: list[PlannedFile] = []
    conflicts: list[str] = []
    for file in port_files(changed, name, project):
        target = project.root / file.path
        if is_kept_for_levgen(file.path):
            files.append(replace(file, replaces=_text(target)))
            continue
        mine = _text(target)
        if mine is None:
            if file.path in base:
                notes.append(f"{file.path} was removed, and stays so")
            else:
                files.append(file)
            continue
        if file.path not in base and mine != file.content:
            raise LevgenError(
                f"{file.path} was edited, and what levgen wrote before it is not known ({rendered_path(name.snake)})",
                f"`levgen new-model {name.snake} --diff` shows what would differ; --force there overwrites it",
            )
        merged = merge(base.get(file.path, mine), mine, file.content, side=side)
        conflicts += [f"{file.path}:{first}-{last}" for first, last in merged.conflicts]
        files.append(PlannedFile(file.path, merged.text, replaces=mine))
    return Update(tuple(files), tuple(notes), tuple(conflicts))


def _written_before(project: Project, name: ModelName, recorded: Architecture) -> dict[str, str]:
    """What levgen wrote, by path.

    It is kept beside the record. Where it isn't, the record's hashes say which files nobody has edited, and which ones
    this levgen still writes alike from the same answers.
    """
    kept = read_rendered(project.root / rendered_path(name.snake))
    if kept:
        return kept
    now = {file.path: file.content for file in port_files(recorded, name, project)}
    hashes = read_record_data(project.root / f".levgen/{name.snake}.yaml").get("files", {})
    found = {}
    for path, expected in hashes.items():
        for text in (_text(project.root / path), now.get(path)):
            if text is not None and f"sha256:{hashlib.sha256(text.encode()).hexdigest()}" == expected:
                found[path] = text
    return found


def _news_of_the_card(recorded: Architecture) -> list[str]:
    """Answers of the shipped card that are others than the record's, which was written from it."""
    card = None if recorded.reference is None else find(recorded.reference.model_type)
    if card is None:
        return []
    before, after = recorded.groups(), card.groups()
    differing = [
        f"--set {group}.{answer}={value}"
        for group in sorted(before.keys() & after.keys())
        for answer, value in after[group].items()
        if value != getattr(before[group], answer) and not isinstance(value, dict | tuple)
    ]
    if not differing:
        return []
    return [f"levgen's card of it has other answers than the record by now: {', '.join(differing)} takes them"]


def _text(path: Path) -> str | None:
    """The file's text with line ends as levgen writes them; None where there is none."""
    try:
        return path.read_bytes().decode("utf-8").replace("\r\n", "\n")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise LevgenError(f"{path} can't be read: {error}") from error
