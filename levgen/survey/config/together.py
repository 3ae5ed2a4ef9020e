"""Fields that move something only together with others, or where a list by layer is another."""

from collections.abc import Mapping
from typing import Any

from levgen.survey.config.card_text import card_text
from levgen.survey.config.field_map import FieldMap
from levgen.survey.config.trials import ROUNDING, Trial, Trials, alternatives, snapshot_of
from levgen.survey.evidence import Evidence, Unknown, source_of


def find_gates(trials: Trials, found: FieldMap, still: dict[str, list[Trial]]) -> None:
    """Fields that do something only together: a switch among them is fixed, so that the rest stays idle."""
    rounds = []
    for pick in range(3):
        changes = {}
        for hf, own in still.items():
            if any(trial.in_training for trial in own):
                continue
            values = [trial.changes[hf] for trial in own]
            small = [v for v in alternatives(hf, trials.base.values[hf], trials.fields[hf]) if v in (1, 0)]
            values = [*values, *(small if isinstance(trials.base.values[hf], int) else [])]
            changes[hf] = values[min(pick, len(values) - 1)]
        rounds.append(changes)
    for changes in rounds:
        together = _joint(trials, changes)
        while together and trials.snapshot is not None:
            trial = trials.attempt(together, examine=False)
            if trial is None or trial.moved <= ROUNDING:
                break
            together = _least(trials, together)
            gates = [hf for hf in together if isinstance(trials.base.values[hf], bool)] or list(together)
            gate = gates[0]
            found.ignored.pop(gate, None)
            found.fixed[gate] = trials.fields[gate]
            others = [hf for hf in together if hf != gate]
            for hf in others:
                found.ignored[hf] = f"nothing moves with it while {gate} is {card_text(trials.fields[gate])}"
            found.evidence.append(
                Evidence(f"field {gate}", f"fixed to {trials.fields[gate]}", probe=f"moves with {others}")
            )
            together = _joint(
                trials, {hf: value for hf, value in changes.items() if hf in found.ignored and hf != gate}
            )


def fix_where_lists_differ(trials: Trials, found: FieldMap, still: dict[str, list[Trial]]) -> None:
    """Fixes the fields that do something only where a list by layer says something else than the base's."""
    idle_yet = {hf: own[0].changes[hf] for hf, own in still.items() if hf in found.ignored and not own[0].in_training}
    lists = {hf for hf in found.lists.values() if hf in trials.fields}
    for trial in [trial for hf in sorted(lists) for trial in trials.of(hf) if trial.measures is not None]:
        before = snapshot_of(trials.tiny.build(**trial.changes))
        for hf in [hf for hf in idle_yet if hf in found.ignored]:
            try:
                moved = before.change(snapshot_of(trials.tiny.build(**{**trial.changes, hf: idle_yet[hf]})))
            except Exception:  # whatever a reference refuses the two with
                continue
            if moved > ROUNDING:
                del found.ignored[hf]
                said = f"it moves where {', '.join(trial.changes)} is another"
                if trials.base.values[hf] != trials.fields[hf]:
                    found.unknown.append(Unknown(f"field {hf}", said, source_of(trials.tiny.found.config())))
                    continue
                found.fixed[hf] = trials.fields[hf]
                found.evidence.append(Evidence(f"field {hf}", f"fixed to {trials.fields[hf]}", probe=said))


def _joint(trials: Trials, changes: Mapping[str, Any]) -> dict[str, Any]:
    """As many of `changes` at once as build."""
    if trials.attempt(changes, examine=False) is not None:
        return dict(changes)
    kept: dict[str, Any] = {}
    for hf, value in changes.items():
        if trials.attempt({**kept, hf: value}, examine=False) is not None:
            kept[hf] = value
    return kept


def _least(trials: Trials, changes: dict[str, Any]) -> dict[str, Any]:
    """The fewest of `changes` that still move something."""
    for hf in list(changes):
        fewer = {key: value for key, value in changes.items() if key != hf}
        trial = trials.attempt(fewer, examine=False) if fewer else None
        if trial is not None and trial.moved > ROUNDING:
            changes = fewer
    return changes
