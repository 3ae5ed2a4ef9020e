"""Every config field ends as mapped, derived, fixed or ignored, each with what was observed."""

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from levgen.reference.runs import expanded, is_runs
from levgen.reference.sizing.values import is_int
from levgen.survey.config.field_map import FieldMap, field_of, sizes_in
from levgen.survey.config.indexer_measures import INDEXED
from levgen.survey.config.latent_measures import LATENT
from levgen.survey.config.lists import KINDS, agrees
from levgen.survey.config.measures import OF_CHANNELS
from levgen.survey.config.rotation import rotation_refusal
from levgen.survey.config.trials import FLOAT32, ROUNDING, Trial, Trials, alternatives, snapshot_of
from levgen.survey.evidence import Evidence, Unknown, source_of
from levgen.survey.mixture.measures import MIXTURE
from levgen.survey.observe.shapes import LENGTH

# What else may move with a field that one of these is read from.
_FOLLOWS_SIZES = {
    "hidden_dim",
    "intermediate_dim",
    "num_layers",
    "num_heads",
    "num_kv_heads",
    "head_dim",
    "position_rows",
    "window",
    "chunk",
    "windowed",
    "normed",
    "tempered",
    "rotary_dim",
    "frequencies",
    "rotating",
    "rotary_scaling",
    "attention_scale",
    "embedding_scale",
    *MIXTURE,
    *LATENT,
    *INDEXED,
    "norm_gate_rank",
    "norm_gates",
    "local_kv_multiple",
    "missing_norm",
    "added_bias",
    "mixer",
}

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
# What a switch, or a number, moves beside the measure that it is the value of.
_GOES_WITH = {
    "has_qk_norm": {"normed", "qk_norm", "qk_norm_weight", "norm_after_rotation"},
    "has_temperature": {"tempered", "query_scaling"},
    "temperature_scale": {"query_scaling"},
    "temperature_span": {"query_scaling"},
}
# Characters of a value in a reason: a generated file holds the reason on one line.
_REASON = 16


def settle(trials: Trials, found: FieldMap) -> None:
    """Completes `found` with the fields that no answer is read from. What can't be settled is noted as unknown."""
    if "mlp_layer_types" in found.lists:  # a number of layers acts through the list, where there is one
        found.sizes.pop("num_dense_layers", None)
    _drop_what_explains_too_little(trials, found)
    still: dict[str, list[Trial]] = {}
    for hf, default in trials.fields.items():
        if hf in found.mapped() or hf in found.derived:
            continue
        own = trials.of(hf)
        gate = _absence(trials, found, hf) or _follower(trials, found, hf) or _repeated(trials, found, hf)
        gate = gate or (None if own else _one_word(trials, found, hf))
        if gate is not None:
            found.derived[hf] = gate
        elif own and all(idle(trials, trial) for trial in own):
            still[hf] = own
            made = _computes(trials, found, own)
            found.ignored[hf] = f"changes {made}, which is read itself" if made else reason(trials, hf, own)
        elif own and _longest(trials, hf, own):
            found.ignored[hf] = f"nothing moved where it was {LENGTH} or more, the length of the text"
        elif _unread(trials, hf):
            found.ignored[hf] = "of other parts: without it the model is the same"
        elif runs := _written_out(trials, found, hf):
            found.ignored[hf] = f"{runs} written out, one entry a layer"
        elif own and (through := _through_lists(trials, found, own)):
            found.ignored[hf] = f"changes {through}, which is read itself"
        else:
            _fix(trials, found, hf, default, own)
    find_gates(trials, found, still)
    fix_where_lists_differ(trials, found, still)


def idle(trials: Trials, trial: Trial) -> bool:
    """Nothing moved, or no more than fp32 rounds off, and every measure stayed."""
    base = trials.base.measures
    assert base is not None
    if trial.moved <= ROUNDING:
        return trial.measures is None or not base.differing(trial.measures)
    return trial.moved <= FLOAT32 and trial.measures is not None and not base.differing(trial.measures)


def _absence(trials: Trials, found: FieldMap, hf: str) -> str | None:
    """A switch that is nothing but whether the window's field is set: the config class itself makes that None or 0."""
    window = found.sizes.get("sliding_window")
    if window is None or trials.fields[hf] is not False:
        return None
    try:
        on, off = (trials.tiny.config(**{window: 7, hf: switch}) for switch in (True, False))
        held = (getattr(on, window), getattr(off, window))
    except Exception:
        return None
    return {(7, None): f"{window} is not None", (7, 0): f"{window} > 0"}.get(held)


def _follower(trials: Trials, found: FieldMap, hf: str) -> str | None:
    """The size that a field is always equal to, or one less than, or the sum of two: the config class sees to it."""
    if not is_int(trials.base.values[hf]):
        return None
    runs = [trial.values for trial in trials.examined if hf not in trial.changes]
    sizes = [name for name in found.sizes.values() if "." not in name]
    alone, pairs = [((size,), less) for size in sizes for less in (0, 1)], itertools.combinations(sizes, 2)
    for parts, less in [*alone, *((pair, 0) for pair in pairs)]:
        every = [(held[hf], _sum(held, parts)) for held in (trials.fields, *runs)]
        if (
            all(total is not None and own == total - less for own, total in every)
            and len({a for a, _ in every[1:]}) > 1
        ):
            return f"{' + '.join(parts)} - {less}" if less else " + ".join(parts)
    return None


def _repeated(trials: Trials, found: FieldMap, hf: str) -> str | None:
    """The size that a list has as often as there are layers, as the config class itself sees to."""
    layers = found.sizes.get("num_layers")
    if layers is None or not isinstance(trials.fields[hf], list):
        return None
    runs = [trial.values for trial in trials.examined if hf not in trial.changes]
    for other in found.sizes.values():
        held = [(values[hf], [values[other]] * values[layers]) for values in (trials.fields, *runs)]
        if all(own == repeated for own, repeated in held) and len({repeated[0] for _, repeated in held[1:]}) > 1:
            return f"[{other}] * {layers}"
    return None


def _one_word(trials: Trials, found: FieldMap, hf: str) -> str | None:
    """The word that a list holds as often as there are layers, in every config: no other was tried, and none passes."""
    layers, default = found.sizes.get("num_layers"), trials.fields[hf]
    if layers is None or not isinstance(default, list) or not default or not isinstance(default[0], str):
        return None
    word = default[0]
    runs = [trial.values for trial in trials.examined]
    holds = all(values[hf] == [word] * values[layers] for values in (trials.fields, *runs))
    varied = len({values[layers] for values in runs}) > 1
    return f"['{word}'] * {layers}" if holds and varied and word.isidentifier() else None


def _sum(values: Mapping[str, Any], names: Iterable[str]) -> int | None:
    numbers = [values[name] for name in names]
    return sum(numbers) if all(is_int(number) for number in numbers) else None


def _through_lists(trials: Trials, found: FieldMap, own: list[Trial]) -> str | None:
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


def _computes(trials: Trials, found: FieldMap, own: list[Trial]) -> str | None:
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


def _written_out(trials: Trials, found: FieldMap, hf: str) -> str | None:
    """The runs by layer that a list is always the same as, entry by entry, where it isn't altered itself."""
    for other in found.lists.values():
        held = [(t.values[hf], t.values[other]) for t in trials.examined if hf not in t.changes]
        if all(is_runs(runs) and isinstance(own, list) and own == expanded(runs) for own, runs in held):
            return other
    return None


def reason(trials: Trials, hf: str, own: list[Trial]) -> str:
    """Why a field whose change moved nothing is ignored."""
    if any(trial.in_training for trial in own):
        return "acts in training only, as dropout does"
    rounding = " but rounding" if any(trial.moved > 0 for trial in own) else ""
    said = plain(trials.base.values[hf])[:_REASON]
    altered = ", ".join(dict.fromkeys(plain(trial.changes[hf]) for trial in own))[:_REASON]
    return f"nothing moved{rounding} when it changed from {said} to {altered}"


def plain(value: Any, length: int = 80) -> str:
    """`value` as a card's text may hold it, in at most `length` characters."""
    return "".join(c for c in str(value) if c not in "\"'\\{}\n")[:length]


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
            what = f"at {plain(trial.changes[hf])}: {trial.unknown.observed}"
        elif trial.measures is not None:
            changed = measures.differing(trial.measures)
            what = f"at {plain(trial.changes[hf])} it changes {', '.join(changed) or 'what no question sees'}"
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
        what = f"{refused} As parameters of a rotation, {what}" if refused else f"{plain(value)}: {what}"
        if moved or not own:
            found.unknown.append(Unknown(f"field {hf}", what, where))
        return
    if value != default:
        said = f"its tiny value {value} is not its default {default}; {what}"
        found.unknown.append(Unknown(f"field {hf}", said, where))
        return
    found.fixed[hf] = value
    found.evidence.append(Evidence(f"field {hf}", f"fixed to {value}", probe=what))


def _drop_what_explains_too_little(trials: Trials, found: FieldMap) -> None:
    """A switch whose field changes more than it says is no switch: its field is fixed."""
    base = trials.base.measures
    assert base is not None
    sizes = set(found.sizes.values()) | set(found.derived)
    explained: dict[str, set[str]] = {}
    for measure, hf in found.switches.items():
        explained.setdefault(hf, set()).add(measure)
    for measure, factor in found.factors.items():
        if (field := field_of(factor)) is not None:
            explained.setdefault(field, set()).add(measure)
    for measure in ("activation", "transform_activation"):
        if (hf := getattr(found, measure)) is not None:
            explained.setdefault(hf, set()).add(measure)
    for hf, known in explained.items():
        for trial in trials.of(hf):
            if trial.measures is None or hf in sizes:
                continue
            also = {name for measure in known for name in _GOES_WITH.get(measure, ())}
            more = set(base.differing(trial.measures)) - known - also
            if more:
                found.switches = {m: f for m, f in found.switches.items() if f != hf}
                for measure, factor in found.factors.items():
                    if field_of(factor) == hf and measure not in _GOES_WITH:
                        found.factors[measure] = getattr(base, measure)
    for hf in sizes:
        ours = {name for name, of in found.sizes.items() if of == hf}
        with_size = {measure for measure, factor in found.factors.items() if ours & sizes_in(factor)}
        with_size |= {name for size in ours for name in _GOES_WITH.get(size, ())}
        for trial in trials.of(hf):
            moved = set() if trial.measures is None else set(base.differing(trial.measures))
            more = moved - _FOLLOWS_SIZES - with_size
            if more:
                found.unknown.append(Unknown(f"field {hf}", f"it changes {', '.join(sorted(more))} beside a size"))


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
                found.ignored[hf] = f"nothing moves with it while {gate} is {plain(trials.fields[gate])}"
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
    for hf in itertools.chain(list(changes)):
        fewer = {key: value for key, value in changes.items() if key != hf}
        trial = trials.attempt(fewer, examine=False) if fewer else None
        if trial is not None and trial.moved > ROUNDING:
            changes = fewer
    return changes
