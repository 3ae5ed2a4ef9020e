"""`--set a.b=value`: change an answer or a hyperparameter of an architecture."""

import re
from collections.abc import Iterable
from typing import Any

import yaml

from levgen.architecture.answers import plain
from levgen.architecture.card import parse_card
from levgen.architecture.schema import Architecture
from levgen.errors import LevgenError, did_you_mean

_SCIENTIFIC = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+")


def apply_settings(architecture: Architecture, settings: Iterable[str]) -> Architecture:
    """`architecture` with every `name=value` of `settings` applied.

    A bare name is a hyperparameter (`hidden_dim=512`), a dotted one an answer (`attention.qk_norm=head`) or an entry of
    a hyperparameter that is a mapping (`rope.theta=500000`). A changed answer parts the model from its reference, which
    no longer describes it.

    Raises LevgenError for a name that doesn't exist, with the nearest ones, and for a value that doesn't fit.
    """
    data = plain(architecture)
    structural = False
    for setting in settings:
        path, equals, text = setting.partition("=")
        if not equals:
            raise LevgenError(f"--set {setting}: expected NAME=VALUE", "for example --set attention.qk_norm=head")
        structural |= _assign(data, path.strip(), _value(setting, text), architecture)
    changed = parse_card(data, source="the architecture after --set")
    if structural and changed.groups() != architecture.groups():
        return changed.changed(reference=None)
    return changed


def _value(setting: str, text: str) -> Any:
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise LevgenError(f"--set {setting}: the value is not YAML") from error
    # YAML reads 5e5 as text: it wants 5.0e+5.
    return float(value) if isinstance(value, str) and _SCIENTIFIC.fullmatch(value) else value


def _assign(data: dict[str, Any], path: str, value: Any, architecture: Architecture) -> bool:
    """Puts `value` at `path`; True where that is an answer about structure."""
    head, _, rest = path.partition(".")
    hyperparameters = data["hyperparameters"]
    groups = architecture.groups()
    unknown = {*architecture.unknown, *(f"mlp.{part}" for part in architecture.unknown if part == "activation")}
    if rest and (head in unknown or path in unknown):
        raise LevgenError(
            f"--set {path}: the survey didn't understand what the reference does there: it has no answer to change",
            "write its stub by hand, or take a type that is understood with --like",
        )
    if not rest and head in hyperparameters:
        hyperparameters[head]["default"] = value
        return False
    if rest and head in hyperparameters and isinstance(hyperparameters[head]["default"], dict):
        hyperparameters[head]["default"] = {**hyperparameters[head]["default"], rest: value}
        return False
    if rest and head in groups and rest in groups[head].__struct_fields__:
        data[head][rest] = value
        return True
    known = [
        *hyperparameters,
        *(f"{group}.{answer}" for group, answers in groups.items() for answer, _ in answers.items()),
    ]
    raise LevgenError(
        f"--set {path}: there is no such answer or hyperparameter",
        did_you_mean(path, known) or f"known: {', '.join(known)}",
    )
