"""JSON: a list of findings, for programs."""

import json

from levgen.check.finding import Report
from levgen.check.registry import all_rules


def as_json(report: Report) -> str:
    """`{"findings": [...], "skipped": [...], "files": n}`; lines and columns count from 1."""
    rules = all_rules()
    findings = [
        {
            "path": finding.path.as_posix(),
            "line": finding.line,
            "column": finding.column,
            "end_line": finding.end_line,
            "end_column": finding.end_column,
            "code": finding.code,
            "name": rules[finding.code].name,
            "message": finding.message,
            "fixable": bool(finding.fix),
        }
        for finding in report.findings
    ]
    skipped = [{"path": one.path.as_posix(), "code": one.code, "reason": one.reason} for one in report.skipped]
    return json.dumps({"findings": findings, "skipped": skipped, "files": len(report.files)}, indent=2)
