"""Comments that switch off what is found today: for a project that begins with `levgen check` and can't mend all now.

Each asks to say why, so that one who comes later knows that nobody has looked yet.
"""

import io
import tokenize
from collections.abc import Iterable
from pathlib import Path

from levgen.check.edits import apply_edits
from levgen.check.finding import Edit, Finding
from levgen.check.suppressions import Suppression, read_suppressions

REASON = "TODO: say why"
_WIDTH = 120
_OWN_FAMILY = "LEV0"  # what is wrong with comments and files themselves


def ignored_texts(findings: Iterable[Finding]) -> dict[Path, tuple[str, str]]:
    """For each file with findings: its text now, and with comments that switch them off."""
    by_path: dict[Path, dict[int, set[str]]] = {}
    for finding in findings:
        if not finding.code.startswith(_OWN_FAMILY) and finding.path.suffix in (".py", ".yaml", ".yml"):
            by_path.setdefault(finding.path, {}).setdefault(finding.line, set()).add(finding.code)
    texts = {}
    for path, lines in sorted(by_path.items()):
        before = path.read_bytes().decode("utf-8")
        mark = "\ufeff" if before.startswith("\ufeff") else ""
        after = mark + _with_comments(path, before.removeprefix(mark), lines)
        texts[path] = (before, after)
    return texts


def _with_comments(path: Path, text: str, wanted: dict[int, set[str]]) -> str:
    there = {one.line: one for one in read_suppressions(path, text)}
    lines = text.splitlines()
    unended = _unended(text) if path.suffix == ".py" else set()
    edits = []
    for number, codes in wanted.items():
        if number in there:
            edits.append(_extended(there[number], codes))
            continue
        line = lines[number - 1] if number <= len(lines) else ""
        comment = f"# levgen: ignore[{', '.join(sorted(codes))}] {REASON}"
        if number in unended or len(line) + len(comment) + 2 > _WIDTH:
            indentation = line[: len(line) - len(line.lstrip())]
            edits.append(Edit(number, 0, number, 0, f"{indentation}{comment}\n"))
        else:
            end = len(line.encode("utf-8"))
            edits.append(Edit(number, end, number, end, f"  {comment}"))
    return apply_edits(text, edits)


def _extended(comment: Suppression, codes: set[str]) -> Edit:
    """The comment that is there, with more codes; its reason stays."""
    listed = ", ".join(dict.fromkeys([*comment.codes, *sorted(codes)]))
    text = f"# levgen: ignore[{listed}] {comment.reason or REASON}"
    span = comment.span
    return Edit(span.line, span.column, span.end_line, span.end_column, text)


def _unended(text: str) -> set[int]:
    """Lines at whose end no comment can stand: a string goes on, or a backslash ends them."""
    found = {number for number, line in enumerate(text.splitlines(), 1) if line.endswith("\\")}
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type not in (tokenize.NL, tokenize.NEWLINE) and token.start[0] < token.end[0]:
                found |= set(range(token.start[0], token.end[0]))
    except (tokenize.TokenError, SyntaxError):
        pass
    return found
