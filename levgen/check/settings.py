"""Which rules run on which file: `[tool.levgen.check]` and the command line."""

import fnmatch
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from levgen.check.files.project import Project
from levgen.check.registry import all_rules, expand
from levgen.errors import LevgenError, did_you_mean

KEYS = ("select", "ignore", "per-file-ignores")


def _strings(value: object, key: str) -> list[str]:
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value
    raise LevgenError(f"[tool.levgen.check] {key}: expected a list of codes, got {value!r}", 'such as ["LEV101"]')


@dataclass(frozen=True)
class Settings:
    """The codes that are on, and those that are off in files whose path from `root` matches a pattern."""

    selected: frozenset[str]
    per_file: tuple[tuple[str, frozenset[str]], ...] = ()
    root: Path | None = None

    def codes(self, path: Path) -> frozenset[str]:
        """The codes that are on in this file."""
        off: set[str] = set()
        if self.root is not None and path.resolve().is_relative_to(self.root.resolve()):
            relative = path.resolve().relative_to(self.root.resolve()).as_posix()
            for pattern, codes in self.per_file:
                if fnmatch.fnmatch(relative, pattern) or fnmatch.fnmatch(path.name, pattern):
                    off |= codes
        return self.selected - off


def read_settings(project: Project, select: Iterable[str] = (), ignore: Iterable[str] = ()) -> Settings:
    """The project's settings with the command line's: its `--select` replaces, its `--ignore` adds.

    Raises:
        LevgenError: an unknown code or key, with the nearest that exists.
    """
    table = project.levgen.get("check", {})
    if not isinstance(table, dict):
        raise LevgenError(f"[tool.levgen] check: expected a table, got {table!r}")
    for key in table:
        if key not in KEYS:
            hint = did_you_mean(key, KEYS) or f"known keys: {', '.join(KEYS)}"
            raise LevgenError(f"[tool.levgen.check] has no key {key!r}", hint)
    chosen = list(select) or _strings(table.get("select", []), "select")
    selected = expand(chosen) if chosen else set(all_rules())
    ignored = expand([*ignore, *_strings(table.get("ignore", []), "ignore")])
    per_file = table.get("per-file-ignores", {})
    if not isinstance(per_file, dict):
        raise LevgenError(f"[tool.levgen.check] per-file-ignores: expected a table, got {per_file!r}")
    patterns = tuple(
        (pattern, frozenset(expand(_strings(codes, f"per-file-ignores.{pattern!r}"))))
        for pattern, codes in per_file.items()
    )
    return Settings(frozenset(selected - ignored), patterns, project.root)
