"""What a run of the linter hands back."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, order=True)
class Edit:
    """Replace the text from (line, column) to (end_line, end_column) by `text`. Lines from 1, columns from 0."""

    line: int
    column: int
    end_line: int
    end_column: int
    text: str


@dataclass(frozen=True, order=True)
class Finding:
    """One broken rule at one place. Sorts by path, then place, then code. Lines and columns count from 1."""

    path: Path
    line: int
    column: int
    code: str
    message: str
    end_line: int
    end_column: int
    fix: tuple[Edit, ...] = field(default=(), compare=False)

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}: {self.code} {self.message}"


@dataclass(frozen=True, order=True)
class Skipped:
    """A check that could not run on a file, and why: never the same as passed."""

    reason: str
    path: Path
    code: str


@dataclass(frozen=True)
class Report:
    """All findings of a run in their order, what was skipped, and the files that were read."""

    findings: tuple[Finding, ...]
    skipped: tuple[Skipped, ...]
    files: tuple[Path, ...]
