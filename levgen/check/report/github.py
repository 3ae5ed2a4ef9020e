"""GitHub's workflow commands, which it shows as annotations beside the line."""

from levgen.check.finding import Report


def _escape(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escape_property(text: str) -> str:
    return _escape(text).replace(":", "%3A").replace(",", "%2C")


def as_github(report: Report) -> str:
    """One `::error` line a finding."""
    return "\n".join(
        f"::error file={_escape_property(finding.path.as_posix())},line={finding.line},col={finding.column},"
        f"endLine={finding.end_line},endColumn={finding.end_column},title=levgen {finding.code}::"
        f"{_escape(finding.message)}"
        for finding in report.findings
    )
