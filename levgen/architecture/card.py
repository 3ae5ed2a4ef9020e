"""Cards: an architecture written as YAML, read and checked, and written back the same from run to run."""

from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from levgen.architecture.schema import Architecture
from levgen.errors import LevgenError, did_you_mean
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
        return Architecture.model_validate(data)
    except ValidationError as error:
        raise LevgenError(f"{source} is not a valid architecture:\n{explain(error)}") from error


def dump_card(architecture: Architecture) -> str:
    """The card of `architecture`: canonical YAML, without the answers that are at their defaults."""
    return yaml.dump(as_data(architecture), sort_keys=False, width=140, default_flow_style=None, allow_unicode=True)


def as_data(architecture: Architecture) -> dict[str, Any]:
    """`architecture` as plain data, without the answers that are at their defaults."""
    return architecture.model_dump(mode="json", exclude_defaults=True)


def explain(error: ValidationError) -> str:
    """One line a problem: which answer, what came, what is allowed."""
    lines = []
    for problem in error.errors(include_url=False):
        where = ".".join(str(step) for step in problem["loc"]) or "architecture"
        message = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            message = "no such answer"
            hint = did_you_mean(str(problem["loc"][-1]), _siblings(problem["loc"][:-1]))
            message += f"; {hint}" if hint else ""
        elif problem["type"] == "literal_error":
            message = f"expected {problem['ctx']['expected']}, got {problem['input']!r}"
        lines.append(f"  {where}: {message}")
    return "\n".join(dict.fromkeys(lines))


def _siblings(location: tuple[str | int, ...]) -> list[str]:
    """The names that are allowed where an unknown one was found."""
    model: Any = Architecture
    for step in location:
        field = model.model_fields.get(step)
        if field is None or not hasattr(field.annotation, "model_fields"):
            return []
        model = field.annotation
    return list(model.model_fields)
