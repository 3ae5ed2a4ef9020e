"""Making the changes that findings bring with them."""

import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from levgen.check.finding import Edit, Finding


def apply_edits(text: str, edits: Iterable[Edit]) -> str:
    """The text with the edits made. Of edits that overlap the first is made; a second run makes the others."""
    # As Python counts lines; `splitlines` would also end one at a form feed.
    lines = re.findall(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+", text)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))

    # Columns of `ast` count UTF-8 bytes.
    def offset(line: int, column: int) -> int:
        if line > len(lines):
            return len(text)
        prefix = lines[line - 1].encode("utf-8")[:column]
        return starts[line - 1] + len(prefix.decode("utf-8", errors="ignore"))

    pieces: list[str] = []
    done = 0
    for edit in sorted(set(edits)):
        start, end = offset(edit.line, edit.column), offset(edit.end_line, edit.end_column)
        if start < done:
            continue
        before = text[done:start]
        # A comment that goes takes the spaces before it along.
        pieces += [
            before.rstrip(" \t") if not edit.text and text[end : end + 1] in ("\n", "\r", "") else before,
            edit.text,
        ]
        done = end
    return "".join(pieces) + text[done:]


def fixed_texts(findings: Iterable[Finding]) -> dict[Path, tuple[str, str]]:
    """For each file with something to fix: its text now, and fixed."""
    by_path: dict[Path, list[Finding]] = {}
    for finding in findings:
        if finding.fix:
            by_path.setdefault(finding.path, []).append(finding)
    texts = {}
    for path, ones in sorted(by_path.items()):
        before = path.read_bytes().decode("utf-8")
        # Places count from behind a byte-order mark.
        mark = "\ufeff" if before.startswith("\ufeff") else ""
        after = mark + apply_edits(before.removeprefix(mark), [edit for one in ones for edit in one.fix])
        if after != before:
            texts[path] = (before, after)
    return texts


def write_text(path: Path, text: str) -> None:
    """Replace a file's text in one step, its permissions kept: killed at any moment, it is as before or complete."""
    beside = path.with_name(f".{path.name}.levgen-{os.getpid()}")
    try:
        beside.write_bytes(text.encode("utf-8"))
        shutil.copymode(path, beside)
        os.replace(beside, path.resolve())
    finally:
        beside.unlink(missing_ok=True)
