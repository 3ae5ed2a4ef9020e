"""Cards: an architecture written as YAML, read and checked, and written back the same from run to run."""

from pathlib import Path
from typing import Any

import msgspec
import yaml

from levgen.architecture.answers import plain
from levgen.architecture.schema import Architecture
from levgen.errors import LevgenError
from levgen.plain_yaml import load_yaml


def read_card(path: Path) -> Architecture:
    """The architecture that the card at `path` describes. Raises LevgenError for text that is not a card."""
    try:
        data = load_yaml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise LevgenError(f"{path} can't be read as a card: {error}") from error
    return parse_card(data, source=str(path))


def parse_card(data: Any, *, source: str) -> Architecture:
    """The architecture in `data` (a card as plain data); `source` names it in errors."""
    try:
        return msgspec.convert(data, Architecture)
    except msgspec.ValidationError as error:
        from levgen.architecture.problems import problems

        found = [f"  {problem}" for problem in dict.fromkeys(problems(data, Architecture))] or [f"  {error}"]
        raise LevgenError(f"{source} is not a valid architecture:\n" + "\n".join(found)) from error


def dump_card(architecture: Architecture) -> str:
    """The card of `architecture`: canonical YAML, without the answers that are at their defaults."""
    return yaml.dump(as_data(architecture), sort_keys=False, width=140, default_flow_style=None, allow_unicode=True)


def as_data(architecture: Architecture) -> dict[str, Any]:
    """`architecture` as plain data, without the answers that are at their defaults."""
    data: dict[str, Any] = plain(architecture, defaults=False)
    return data
