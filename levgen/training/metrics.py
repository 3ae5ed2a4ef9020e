"""The metrics of a run as JSON lines, one a step; the file goes on where a resumed run does."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Self


class JsonLines:
    """Appends one JSON object a step to `path`, after dropping the lines of steps that are run again."""

    def __init__(self, path: Path, *, first_step: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = [line for line in _whole_lines(path) if json.loads(line)["step"] < first_step]
        part = path.with_name(f".{path.name}.part")
        part.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
        part.replace(path)
        self._file = path.open("a", encoding="utf-8")

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self._file.write(json.dumps({"step": step, **values}) + "\n")
        self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()


def _whole_lines(path: Path) -> list[str]:
    """The lines of `path` but for a last one that a killed run left unfinished."""
    return path.read_text(encoding="utf-8").split("\n")[:-1] if path.is_file() else []
