"""`path:line:col: CODE message`, as ruff's concise form."""

from collections.abc import Iterator

from levgen.check.finding import Report, Skipped


def _skipped(skipped: tuple[Skipped, ...]) -> Iterator[str]:
    by_reason: dict[tuple[str, str], int] = {}
    for one in skipped:
        key = (one.code, one.reason)
        by_reason[key] = by_reason.get(key, 0) + 1
    for (code, reason), count in sorted(by_reason.items()):
        yield f"skipped {code} on {count} file{'' if count == 1 else 's'}, because {reason}"


def _summary(report: Report) -> str:
    count, files = len(report.findings), len(report.files)
    read = f"in {files} file{'' if files == 1 else 's'}"
    return f"found {count} problem{'' if count == 1 else 's'} {read}" if count else f"no problems {read}"


def as_text(report: Report) -> str:
    """All findings, what was skipped, and how many there are."""
    lines = [str(finding) for finding in report.findings]
    lines += _skipped(report.skipped)
    lines.append(_summary(report))
    fixable = sum(bool(finding.fix) for finding in report.findings)
    if fixable:
        lines.append(f"{fixable} can be fixed with --fix")
    return "\n".join(lines)


def as_statistics(report: Report) -> str:
    """How often each rule was broken, most often first."""
    from levgen.check.registry import all_rules

    counts: dict[str, int] = {}
    for finding in report.findings:
        counts[finding.code] = counts.get(finding.code, 0) + 1
    rows = sorted(counts.items(), key=lambda row: (-row[1], row[0]))
    width = max((len(str(count)) for _, count in rows), default=1)
    lines = [f"{count:>{width}} {code} {all_rules()[code].name}" for code, count in rows]
    return "\n".join([*lines, _summary(report)])
