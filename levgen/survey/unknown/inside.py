"""What can be said of a module that is unknown: which config fields act in it, what it holds, and over which axes."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from levgen.reference.sizing.values import is_int
from levgen.survey.config.card_text import card_text
from levgen.survey.config.field_map import FieldMap
from levgen.survey.config.idle import idle, reason
from levgen.survey.config.rotation import as_rotary, rotation_refusal
from levgen.survey.config.together import find_gates
from levgen.survey.config.trials import FLOAT32, ROUNDING, Trial, Trials, seen_from_outside
from levgen.survey.evidence import Evidence, UnresolvedError

QUESTION = "what is inside an unknown module"


@dataclass
class Inside:
    """`hyperparameters`: those that act in unknown modules alone, as a card writes them. `parts`: the modules."""

    hyperparameters: dict[str, dict[str, Any]] = field(default_factory=dict)
    parts: dict[str, dict[str, Any]] = field(default_factory=dict)


def fields_inside(trials: Trials, found: FieldMap) -> dict[str, dict[str, Any]]:
    """The fields that do nothing in the plugged model, and something in the reference as it is: hyperparameters.

    What can't be one is fixed. Raises UnresolvedError for a field of a kind that no stub could read.
    """
    real = seen_from_outside(trials, replace(trials.tiny, plugs=None))
    made: dict[str, dict[str, Any]] = {}
    still: dict[str, list[Trial]] = {}
    for hf in list(found.ignored):
        own = trials.of(hf)
        if not own or not all(idle(trials, trial) for trial in own):
            continue
        # Where something only rounds in the plugged model, it may in the other.
        limit = ROUNDING if all(trial.moved <= ROUNDING for trial in own) else FLOAT32
        seen = [trial for trial in (real.attempt(t.changes, examine=False) for t in own) if trial is not None]
        if seen and all(trial.moved <= limit for trial in seen):
            still[hf] = seen
            found.ignored[hf] = reason(real, hf, seen)
            continue
        parameter = _hyperparameter(trials, hf) if seen else None
        del found.ignored[hf]
        if parameter is not None and hf.lower() not in made:
            made[hf.lower()] = parameter
            found.evidence.append(Evidence(f"field {hf}", "acts in what is unknown alone", probe=_altered(seen)))
        else:
            _fix_inside(trials, found, hf, seen)
    find_gates(real, found, still)
    return made | _bound(trials, real, found)


def _bound(trials: Trials, real: Trials, found: FieldMap) -> dict[str, dict[str, Any]]:
    """The numbers that act in unknown modules alone, and that the config class lets be altered with another only."""
    made: dict[str, dict[str, Any]] = {}
    known = {*found.mapped(), *found.derived, *found.ignored}
    for hf in bound_fields(trials):
        joint = [trial for trial in trials.done if hf in trial.changes and not known & set(trial.changes)]
        if hf in known or not joint or not all(idle(trials, trial) for trial in joint):
            continue
        tried = [real.attempt(trial.changes, examine=False) for trial in joint]
        seen = [trial for trial in tried if trial is not None and trial.moved > ROUNDING]
        parameter = _hyperparameter(trials, hf) if seen else None
        if parameter is None or hf.lower() in made:
            continue
        made[hf.lower()] = parameter
        found.fixed.pop(hf, None)
        found.unknown[:] = [one for one in found.unknown if one.question != f"field {hf}"]
        found.evidence.append(Evidence(f"field {hf}", "acts in what is unknown alone", probe=_altered(seen)))
    return made


def bound_fields(trials: Trials) -> list[str]:
    """The numbers that can't be altered alone, but with others."""
    alone = {hf for hf, value in trials.base.values.items() if is_int(value) and not trials.of(hf)}
    return [hf for hf in trials.fields if any(hf in trial.changes for trial in trials.done) and hf in alone]


def _altered(seen: list[Trial]) -> str:
    return "; ".join(f"{card_text(trial.changes)}: logits move by {trial.moved:.1e}" for trial in seen[:2])


def _hyperparameter(trials: Trials, hf: str) -> dict[str, Any] | None:
    """A field as a hyperparameter of a card; None for one that decides what the module is, rather than how large."""
    value, default = trials.base.values[hf], trials.fields[hf]
    if not hf.isidentifier() or hf.startswith("_"):
        return None
    if isinstance(default, Mapping) and default and rotation_refusal(default) is None and "rope_theta" in default:
        rotation = as_rotary(default, 2048)
        return {"default": rotation, "hf": hf, "tiny": {**rotation, "theta": 500.0}}
    if isinstance(value, bool | str | Mapping | list | tuple) or value is None:
        return None
    if default is None:
        return {"default": None, "hf": hf, "optional": True, "tiny": value}
    return {"default": default, "hf": hf, "tiny": value}


def _fix_inside(trials: Trials, found: FieldMap, hf: str, seen: list[Trial]) -> None:
    value, default = trials.base.values[hf], trials.fields[hf]
    where = type(trials.tiny.found.config()).__name__
    if isinstance(value, list | tuple) and value == getattr(trials.tiny.found.config(), hf, None):
        # However many layers there are it is the same: a constant. A port refuses whatever isn't the class's default.
        found.evidence.append(
            Evidence(f"field {hf}", f"always its default, {card_text(default)}", probe=_altered(seen))
        )
        return
    if isinstance(value, list | tuple) or value != default:
        raise UnresolvedError(
            QUESTION, f"field {hf} of {where} acts in it by {card_text(value)}, which a stub would not be told"
        )
    found.fixed[hf] = default
    found.evidence.append(Evidence(f"field {hf}", f"fixed to {card_text(default)}", probe=_altered(seen)))
