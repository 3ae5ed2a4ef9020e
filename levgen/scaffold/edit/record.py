"""What a model was written from, read back from its record and changed there when a stub is filled."""

from pathlib import Path
from typing import Any

import yaml

from levgen.architecture.card import as_data, parse_card
from levgen.architecture.schema import Architecture
from levgen.errors import LevgenError


class Record:
    """The record of a model, `.levgen/<model>.yaml`. Raises LevgenError for a file that isn't one."""

    def __init__(self, text: str, shown: str) -> None:
        self.text = text
        try:
            data = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise LevgenError(
                f"{shown} is not YAML: {error}", "mend it, or move it away to go on without it"
            ) from error
        if not isinstance(data, dict) or not isinstance(data.get("architecture"), dict):
            raise LevgenError(f"{shown} is no record: it has no architecture", "move it away to go on without it")
        self._data: dict[str, Any] = data
        self.architecture: Architecture = parse_card(data["architecture"], source=shown)

    def with_architecture(self, architecture: Architecture) -> str:
        """The record's text for another architecture; all else stays as it is."""
        header = "".join(line for line in self.text.splitlines(keepends=True) if line.startswith("#"))
        data = {**self._data, "architecture": as_data(architecture)}
        return header + yaml.dump(data, sort_keys=False, width=140, default_flow_style=False, allow_unicode=True)


def read_record(path: Path, shown: str) -> Record | None:
    """The record at `path`; None where there is none."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise LevgenError(f"{shown} can't be read: {error.strerror}") from error
    try:
        return Record(data.decode("utf-8").replace("\r\n", "\n"), shown)
    except UnicodeDecodeError as error:
        raise LevgenError(f"{shown} is not UTF-8") from error
