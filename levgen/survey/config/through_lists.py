"""Fields that act through a list by layer, which is read itself."""

from dataclasses import replace

from levgen.reference.runs import expanded, is_runs
from levgen.survey.config.field_map import FieldMap
from levgen.survey.config.lists import KINDS, agrees
from levgen.survey.config.measures import OF_CHANNELS
from levgen.survey.config.trials import ROUNDING, Trial, Trials

# What else may move with a list by layer.
_FOLLOWS_LISTS = (
    "window",
    "chunk",
    "rotating",
    "frequencies",
    "normed",
    "tempered",
    "query_scaling",
    "num_dense_layers",
    "local_kv_multiple",
    "sunk",
    "norm_gates",
)


def through_lists(trials: Trials, found: FieldMap, own: list[Trial]) -> str | None:
    """The list by layer through which a field acts: it agrees with what was measured, and nothing else changed."""
    base = trials.base.measures
    assert base is not None
    for kind in KINDS:
        hf = found.lists.get(kind.role)
        moved = [trial for trial in own if trial.moved > ROUNDING]
        if hf is None or (kind.measure == "sparse" and all(_of_one_kind(trial) for trial in moved)):
            continue
        if all(
            trial.measures is not None
            and set(base.differing(trial.measures)) <= {kind.measure, *_FOLLOWS_LISTS, *_gone(kind.measure, trial)}
            and agrees(kind, trial.values[hf], trial.measures)
            for trial in moved
        ):
            return hf
    return None


def _of_one_kind(trial: Trial) -> bool:
    """Whether experts are in every layer, or in none."""
    return trial.measures is not None and len(set(trial.measures.sparse)) == 1


def _gone(measure: str, trial: Trial) -> tuple[str, ...]:
    """What is measured no more where a list leaves no layer with experts, or none without."""
    return OF_CHANNELS if measure == "sparse" and _of_one_kind(trial) else ()


def computes_list(trials: Trials, found: FieldMap, own: list[Trial]) -> str | None:
    """The list by layer that a config class computes from a field, unless it is given, as in the tiny config."""
    given = [hf for hf in found.lists.values() if hf in trials.tiny.values]
    for hf in given:
        bare = replace(trials.tiny, values={name: one for name, one in trials.tiny.values.items() if name != hf})
        try:
            held = [getattr(bare.config(**changes), hf) for changes in ({}, *(trial.changes for trial in own))]
        except Exception:  # whatever a config class refuses what it computes with
            continue
        if any(other != held[0] for other in held):
            return hf
    return None


def written_out(trials: Trials, found: FieldMap, hf: str) -> str | None:
    """The runs by layer that a list is always the same as, entry by entry, where it isn't altered itself."""
    for other in found.lists.values():
        held = [(t.values[hf], t.values[other]) for t in trials.examined if hf not in t.changes]
        if all(is_runs(runs) and isinstance(own, list) and own == expanded(runs) for own, runs in held):
            return other
    return None
