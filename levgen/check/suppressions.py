"""Comments that switch a rule off on a line: `# levgen: ignore[LEV101] reason`.

On a line of its own the comment speaks for the next line.
"""

import io
import re
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from levgen.check.finding import Edit, Finding
from levgen.check.registry import all_rules
from levgen.check.rule import Problem, Span
from levgen.errors import did_you_mean

_MARK = "levgen: ignore"
_COMMENT = re.compile(r"#\s*levgen: ignore(?:\[(?P<codes>[^\]]*)\])?(?P<reason>[^#]*)")


@dataclass
class Suppression:
    """One comment, the line it speaks for, and the codes of it that were needed."""

    span: Span
    line: int
    codes: tuple[str, ...]
    reason: str
    whole_line: bool
    used: set[str]


def _comments(text: str, *, python: bool) -> Iterator[tuple[int, int, str, str]]:
    """Line, column, the comment, and what stands before it."""
    if python:
        try:
            for token in tokenize.generate_tokens(io.StringIO(text).readline):
                if token.type == tokenize.COMMENT:
                    yield token.start[0], token.start[1], token.string, token.line[: token.start[1]]
        except (tokenize.TokenError, SyntaxError):
            return
    else:
        for number, line in enumerate(text.splitlines(), 1):
            match = re.search(r"(?:^|\s)(#.*)$", line)
            if match:
                yield number, match.start(1), match[1], line[: match.start(1)]


def read_suppressions(path: Path, text: str) -> list[Suppression]:
    """All comments of a file that switch rules off."""
    if _MARK not in text:
        return []
    found = []
    for number, column, comment, before in _comments(text, python=path.suffix == ".py"):
        match = _COMMENT.search(comment)
        if match is None:
            continue
        codes = tuple(code.strip() for code in (match["codes"] or "").split(",") if code.strip())
        start = column + match.start()
        span = Span(number, start, number, column + match.start() + len(match[0].rstrip()))
        alone = not before.strip()
        found.append(Suppression(span, number + 1 if alone else number, codes, match["reason"].strip(), alone, set()))
    return found


def apply(suppressions: list[Suppression], findings: list[Finding]) -> list[Finding]:
    """The findings that no comment switches off; the comments remember what they were used for."""
    left = []
    for finding in findings:
        hit = [one for one in suppressions if one.line == finding.line and finding.code in one.codes]
        for one in hit:
            one.used.add(finding.code)
        if not hit:
            left.append(finding)
    return left


def problems(suppressions: list[Suppression], active: frozenset[str]) -> Iterator[tuple[str, Problem]]:
    """What is wrong with the comments themselves. `active` are the codes that ran on the file."""
    for one in suppressions:
        if not one.codes:
            yield "LEV004", Problem(one.span, "the comment names no code: write `# levgen: ignore[LEV101] reason`")
            continue
        for code in one.codes:
            if code not in all_rules():
                hint = did_you_mean(code, all_rules())
                yield "LEV004", Problem(one.span, f"there is no rule {code!r}" + (f": {hint}" if hint else ""))
        if not one.reason:
            yield (
                "LEV002",
                Problem(one.span, f"ignore[{', '.join(one.codes)}] gives no reason: say why it is right here"),
            )
        unused = [code for code in one.codes if code in active and code not in one.used]
        if unused:
            yield (
                "LEV003",
                Problem(one.span, f"nothing to ignore: {', '.join(unused)} has no finding here", _drop(one, unused)),
            )


def _drop(one: Suppression, unused: list[str]) -> tuple[Edit, ...]:
    """Remove the comment, or only the codes of it that are not needed."""
    left = [code for code in one.codes if code not in unused]
    if left:
        text = f"# levgen: ignore[{', '.join(left)}] {one.reason}".rstrip()
        return (Edit(one.span.line, one.span.column, one.span.end_line, one.span.end_column, text),)
    if one.whole_line:
        return (Edit(one.span.line, 0, one.span.line + 1, 0, ""),)
    return (Edit(one.span.line, one.span.column, one.span.end_line, one.span.end_column, ""),)
