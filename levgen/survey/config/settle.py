"""Every config field ends as mapped, derived, fixed or ignored, each with what was observed."""

from collections.abc import Mapping
from typing import Any

from levgen.survey.config.card_text import card_text
from levgen.survey.config.computed import computed_from
from levgen.survey.config.field_map import FieldMap
from levgen.survey.config.idle import idle, reason
from levgen.survey.config.moved_beside import drop_what_explains_too_little
from levgen.survey.config.rotation import rotation_refusal
from levgen.survey.config.through_lists import computes_list, through_lists, written_out
from levgen.survey.config.together import find_gates, fix_where_lists_differ
from levgen.survey.config.trials import ROUNDING, Trial, Trials, snapshot_of
from levgen.survey.evidence import Evidence, Unknown, source_of
from levgen.survey.observe.shapes import LENGTH


def settle(trials: Trials, found: FieldMap) -> None:
    """Completes `found` with the fields that no answer is read from. What can't be settled is noted as unknown."""
    if "mlp_layer_types" in found.lists:  # a number of layers acts through the list, where there is one
        found.sizes.pop("num_dense_layers", None)
    drop_what_explains_too_little(trials, found)
    still: dict[str, list[Trial]] = {}
    for hf, default in trials.fields.items():
        if hf in found.mapped() or hf in found.derived:
            continue
        own = trials.of(hf)
        computed = computed_from(trials, found, hf)
        if computed is not None:
            found.derived[hf] = computed
        elif own and all(idle(trials, trial) for trial in own):
            still[hf] = own
            made = computes_list(trials, found, own)
            found.ignored[hf] = f"changes {made}, which is read itself" if made else reason(trials, hf, own)
        elif own and _longest(trials, hf, own):
            found.ignored[hf] = f"nothing moved where it was {LENGTH} or more, the length of the text"
        elif _unread(trials, hf):
            found.ignored[hf] = "of other parts: without it the model is the same"
        elif runs := written_out(trials, found, hf):
            found.ignored[hf] = f"{runs} written out, one entry a layer"
        elif own and (through := through_lists(trials, found, own)):
            found.ignored[hf] = f"changes {through}, which is read itself"
        else:
            _fix(trials, found, hf, default, own)
    find_gates(trials, found, still)
    fix_where_lists_differ(trials, found, still)


def _longest(trials: Trials, hf: str, own: list[Trial]) -> bool:
    """Whether a field is a limit of a text's length: it acts where it is less than that, and not as a window does."""
    if not isinstance(trials.base.values[hf], int) or not trials.base.values[hf] > LENGTH:
        return False
    within = [trial for trial in own if trial.changes[hf] >= LENGTH]
    windows = {trial.measures.window for trial in own if trial.measures is not None}
    return len(within) > 1 and all(idle(trials, trial) for trial in within) and windows <= {None}


def _unread(trials: Trials, hf: str) -> bool:
    """Whether a field that holds another config is none of the model's: it builds and gives the same without it."""
    if not hasattr(trials.base.values[hf], "to_dict"):
        return False
    try:
        return trials.snapshot.change(snapshot_of(trials.tiny.build(without=(hf,)))) == 0.0
    except Exception:  # whatever a reference fails with that reads it
        return False


def _fix(trials: Trials, found: FieldMap, hf: str, default: Any, own: list[Trial]) -> None:
    """A field that moves something, or that takes no other value, is fixed to its default."""
    value = trials.base.values[hf]
    moved = [trial for trial in own if trial.moved > ROUNDING]
    what = "takes no other value that was tried"
    if moved:
        trial = moved[0]
        measures = trials.base.measures
        assert measures is not None
        if trial.unknown is not None:
            what = f"at {card_text(trial.changes[hf])}: {trial.unknown.observed}"
        elif trial.measures is not None:
            changed = measures.differing(trial.measures)
            what = f"at {card_text(trial.changes[hf])} it changes {', '.join(changed) or 'what no question sees'}"
    if hasattr(value, "to_dict"):  # a config in the config, whose own fields are fixed one by one
        from levgen.runtime.hf_config.common import COMMON_FIELDS

        parts = {key: item for key, item in value.to_dict().items() if key not in COMMON_FIELDS and key[0] != "_"}
        if isinstance(default, Mapping) and all(default.get(key) == item for key, item in parts.items()):
            found.fixed |= {f"{hf}.{key}": item for key, item in parts.items()}
            found.evidence.append(Evidence(f"field {hf}", "fixed, entry by entry", probe=what))
            return
    where = source_of(trials.tiny.found.config())
    if isinstance(value, list | tuple | Mapping) and value:
        refused = rotation_refusal(value) if isinstance(value, Mapping) else None
        what = f"{refused} As parameters of a rotation, {what}" if refused else f"{card_text(value)}: {what}"
        if moved or not own:
            found.unknown.append(Unknown(f"field {hf}", what, where))
        return
    if value != default:
        said = f"its tiny value {value} is not its default {default}; {what}"
        found.unknown.append(Unknown(f"field {hf}", said, where))
        return
    found.fixed[hf] = value
    found.evidence.append(Evidence(f"field {hf}", f"fixed to {value}", probe=what))
