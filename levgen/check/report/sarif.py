"""SARIF 2.1.0, for code-scanning services."""

import json

from levgen import __version__
from levgen.check.finding import Report
from levgen.check.manual import manual
from levgen.check.registry import all_rules

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def as_sarif(report: Report) -> str:
    """One run with the rules that were broken and a result a finding."""
    rules = all_rules()
    pages = {code: manual(rules[code]) for code in sorted({finding.code for finding in report.findings})}
    described = [
        {
            "id": code,
            "name": page.name,
            "shortDescription": {"text": page.summary},
            "fullDescription": {"text": page.why},
            "help": {"text": page.fix},
        }
        for code, page in pages.items()
    ]
    results = [
        {
            "ruleId": finding.code,
            "level": "error",
            "message": {"text": finding.message},
            "locations": [
                {
                    "physicalLocation": {
                        "artifactLocation": {"uri": finding.path.as_posix()},
                        "region": {
                            "startLine": finding.line,
                            "startColumn": finding.column,
                            "endLine": finding.end_line,
                            "endColumn": max(finding.end_column, 1),
                        },
                    }
                }
            ],
        }
        for finding in report.findings
    ]
    tool = {"driver": {"name": "levgen check", "version": __version__, "rules": described}}
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [{"tool": tool, "results": results}]}, indent=2)
