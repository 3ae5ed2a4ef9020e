"""The record of a port, `.levgen/<name>.yaml`: what it was written from, and how far it is proven."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from levgen import __version__
from levgen.architecture.card import as_data
from levgen.architecture.schema import Architecture
from levgen.errors import LevgenError
from levgen.scaffold.names import ModelName

if TYPE_CHECKING:
    from levgen.survey.report import Survey

UNPROVEN = "scaffolded"


def render_record(
    architecture: Architecture,
    name: ModelName,
    files: dict[str, str],
    *,
    survey: "Survey | None" = None,
    before: dict[str, Any] | None = None,
) -> str:
    """The record's text. It holds no time and no path of a machine, so that it is the same from run to run.

    survey: what found the architecture out, whose evidence is kept.
    before: the record that it replaces. Its proof is kept: it says itself which files it is about. So is the evidence
        of an earlier survey that found the same architecture, whose figures would only differ by rounding.
    """
    held = before or {}
    card = as_data(architecture)
    if "survey" in held and held.get("architecture") == card:
        surveyed = {"survey": held["survey"]}
    else:
        surveyed = {} if survey is None else {"survey": _surveyed(survey)}
    data = {
        "model": name.snake,
        "levgen": __version__,
        "status": held.get("status", UNPROVEN),
        "files": {path: f"sha256:{hashlib.sha256(content.encode()).hexdigest()}" for path, content in files.items()},
        "architecture": card,
        **surveyed,
        **({"proof": held["proof"]} if "proof" in held else {}),
    }
    header = f"# How {name.snake} was generated. levgen reads and writes this file: leave it to levgen.\n"
    return header + _dump(data)


def _surveyed(survey: "Survey") -> dict[str, Any]:
    """What the record keeps of a survey: the evidence of each answer, and how near the rebuilt model came."""

    def said(value: Any) -> Any:
        if isinstance(value, float):
            return float(f"{value:.1e}")
        return value if value is None or isinstance(value, int) else str(value)

    data = survey.as_data()
    return {
        "of": survey.model_type,
        "rebuilt": {"logits": [said(error) for error in survey.errors], "gradients": said(survey.gradient_error)},
        "evidence": [
            {key: said(value) for key, value in entry.items() if value not in (None, "")} for entry in data["evidence"]
        ],
        "unknown": [{key: text for key, text in entry.items() if text} for entry in data["unknown"]],
    }


def with_proof(text: str, *, status: str, proof: dict[str, Any]) -> str:
    """The text of a record with another proof; all else stays as it is."""
    header = "".join(line for line in text.splitlines(keepends=True) if line.startswith("#"))
    data = {**yaml.safe_load(text), "status": status}
    data.pop("proof", None)
    return header + _dump({**data, "proof": proof})


def read_record_data(path: Path) -> dict[str, Any]:
    """A record as plain data; empty where there is none. Raises LevgenError for a file that isn't one."""
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise LevgenError(f"{path} can't be read: {error}", "mend it, or move it away to go on without it") from error
    if not isinstance(data, dict):
        raise LevgenError(f"{path} is no record", "mend it, or move it away to go on without it")
    return data


def _dump(data: dict[str, Any]) -> str:
    text: str = yaml.dump(data, sort_keys=False, width=140, default_flow_style=False, allow_unicode=True)
    return text
