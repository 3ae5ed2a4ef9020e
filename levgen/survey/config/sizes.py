"""Which fields are sizes: what a field is the number of."""

import itertools
from collections.abc import Mapping
from typing import Any

from levgen.survey.config.field_map import FieldMap
from levgen.survey.config.trials import ROUNDING, Trial, Trials
from levgen.survey.evidence import Evidence
from levgen.survey.mixture.measures import MIXTURE

# Our hyperparameter -> the measure that it is the value of.
SIZES = {
    "hidden_dim": "hidden_dim",
    "intermediate_dim": "intermediate_dim",
    "mlp_multiple": "mlp_multiple",
    "num_layers": "num_layers",
    "num_heads": "num_heads",
    "num_kv_heads": "num_kv_heads",
    "head_dim": "head_dim",
    "max_seq_len": "position_rows",
    "sliding_window": "window",
    "chunk_size": "chunk",
    "rotary_dim": "rotary_dim",
    "expert_dim": "expert_dim",
    "num_experts": "num_experts",
    "num_experts_per_tok": "num_experts_per_tok",
    "num_expert_groups": "num_expert_groups",
    "num_kept_groups": "num_kept_groups",
    "num_dense_layers": "num_dense_layers",
    "shared_expert_dim": "shared_expert_dim",
    "num_shared_experts": "num_shared_experts",
    "q_lora_rank": "q_lora_rank",
    "kv_lora_rank": "kv_lora_rank",
    "qk_nope_head_dim": "qk_nope_head_dim",
    "qk_rope_head_dim": "qk_rope_head_dim",
    "v_head_dim": "v_head_dim",
    "index_num_heads": "index_num_heads",
    "index_head_dim": "index_head_dim",
    "index_topk": "index_topk",
    "norm_gate_rank": "norm_gate_rank",
}
# What no hyperparameter is where keys and values are made from a vector of low rank.
_OF_OTHER_HEADS = ("num_kv_heads", "head_dim", "rotary_dim")


def map_sizes(trials: Trials, found: FieldMap) -> None:
    """Notes the field of each size that follows one: it is what was measured in every trial, and was altered."""
    for ours, name in _sizes(trials).items():
        if ours == "mlp_multiple" and "intermediate_dim" in found.sizes:
            continue
        _map_size(trials, found, ours, name)
    known = [trial.measures for trial in trials.examined if trial.measures is not None]
    if all(not m.latent and m.v_head_dim == m.head_dim for m in known):
        found.sizes.pop("v_head_dim", None)
    if not {"intermediate_dim", "mlp_multiple"} & found.sizes.keys():
        _map_size(trials, found, "intermediate_dim", "joint_width")
        found.joint_width = "intermediate_dim" in found.sizes


def _sizes(trials: Trials) -> dict[str, str]:
    """`SIZES` of the hyperparameters that a model like the base may have."""
    base = trials.base.measures
    assert base is not None
    return {ours: name for ours, name in SIZES.items() if not (base.latent and ours in _OF_OTHER_HEADS)}


def _map_size(trials: Trials, found: FieldMap, ours: str, name: str) -> None:
    """Notes the field that our hyperparameter `ours` is read from, where one is the measure `name`."""
    candidates = [
        hf
        for hf, value in trials.base.values.items()
        if not isinstance(value, bool) and isinstance(value, int | None) and _follows(trials, hf, name)
    ]
    if len(candidates) > 1:
        # A field that several sizes follow, such as heads where key heads are as many, is the more basic one's.
        free = [hf for hf in candidates if hf not in found.sizes.values()]
        candidates = free or candidates
    if candidates and candidates[0] not in found.sizes.values():
        found.sizes[ours] = candidates[0]
        seen = [(t.values[candidates[0]], getattr(t.measures, name)) for t in _varied(trials, candidates[0])]
        found.evidence.append(Evidence(f"field of {ours}", candidates[0], 0.0, probe=f"(field, measured): {seen[:4]}"))


def _measure_of(found: FieldMap, ours: str) -> str:
    """The measure that the field of our hyperparameter `ours` is the value of."""
    return "joint_width" if ours == "intermediate_dim" and found.joint_width else SIZES[ours]


def _follows(trials: Trials, hf: str, name: str) -> bool:
    """Whether the measure `name` is the field wherever the field is set, and the field was altered and set."""
    runs = [t for t in _sized(trials) if t.values.get(hf) is not None]
    own = [t for t in _altering(trials, hf) if t.measures is not None and t.values[hf] is not None]
    held = [getattr(t.measures, name) for t in runs]
    # A window can be None where all is seen, experts where no layer has any: a field that does nothing there is no
    # counterexample.
    may_be_absent = name in ("window", "chunk") or name in MIXTURE
    pairs = [(t.values[hf], m) for t, m in zip(runs, held, strict=True) if not (may_be_absent and m is None)]
    if not own or not pairs or any(value != m for value, m in pairs):
        return False
    unset = [t for t in _sized(trials) if t.values.get(hf) is None]
    return len({v for v, _ in pairs}) > 1 or any(getattr(t.measures, name) != pairs[0][0] for t in unset)


def _altering(trials: Trials, hf: str) -> list[Trial]:
    """The trials that altered `hf` alone; where none could be built, those that altered it with another size."""
    alone = [trial for trial in trials.of(hf) if trial.measures is not None]
    return alone or [trial for trial in _sized(trials) if hf in trial.changes]


def _sized(trials: Trials) -> list[Trial]:
    """The trials in which only numbers were altered, or a list with its length: others may change what a size means."""

    def is_size(value: Any, together: bool) -> bool:
        if isinstance(value, list):
            return together
        return isinstance(value, int | float | None) and not isinstance(value, bool)

    return [t for t in trials.examined if all(is_size(v, len(t.changes) > 1) for v in t.changes.values())]


def _varied(trials: Trials, hf: str) -> list[Trial]:
    seen: dict[Any, Trial] = {}
    for trial in trials.examined:
        value = trial.values.get(hf)
        seen.setdefault(str(value), trial)
    return list(seen.values())


def map_companions(trials: Trials, found: FieldMap) -> None:
    """Fields that can be altered only together with one that is as large at full size: `derived` from it."""
    for hf, default in trials.fields.items():
        if hf in found.sizes.values() or isinstance(default, bool) or not isinstance(default, int):
            continue
        own = trials.of(hf)
        if any(t.measures is not None or t.moved <= ROUNDING for t in own):
            continue
        for ours, other in list(found.sizes.items()):
            if trials.fields.get(other) == default and trials.base.values[other] == trials.base.values[hf]:
                value = trials.base.values[other] * 4 // 3
                trial = trials.attempt({other: value, hf: value})
                if trial is not None and getattr(trial.measures, _measure_of(found, ours), None) == value:
                    found.derived[hf] = other
    for ours, name in _sizes(trials).items():
        if ours in found.sizes:
            continue
        # A size whose field builds only when another moves with it.
        for hf, other in itertools.permutations([n for n, v in trials.fields.items() if isinstance(v, int)], 2):
            if trials.fields[hf] != trials.fields[other] or trials.fields[hf] in (True, False, 0, 1):
                continue
            if trials.base.values[hf] != getattr(trials.base.measures, name) or hf in found.sizes.values():
                continue
            value = trials.base.values[hf] * 4 // 3
            trial = trials.attempt({hf: value, other: value})
            if trial is not None and getattr(trial.measures, name, None) == value:
                found.sizes[ours], found.derived[other] = hf, hf
                break


def map_bound_heads(trials: Trials, found: FieldMap) -> None:
    """A width of a head that is always the model's width over the heads, and that can't be altered alone: `derived`."""
    hf = found.sizes.get("head_dim")
    if hf is None or any(trial.measures is not None for trial in trials.of(hf)):
        return
    if {"hidden_dim", "num_heads"} <= found.sizes.keys():
        expression = f"{found.sizes['hidden_dim']} // {found.sizes['num_heads']}"
        if all(_evaluate(expression, trial.values) == trial.values[hf] for trial in _sized(trials)):
            del found.sizes["head_dim"]
            found.derived[hf] = expression
            found.evidence.append(Evidence(f"field {hf}", expression, 0.0, probe="it can't be altered alone"))


def map_unset(trials: Trials, found: FieldMap) -> None:
    """What None means in a size's field: an expression over other sizes' fields."""
    for ours, hf in list(found.sizes.items()):
        name = _measure_of(found, ours)
        if ours in ("sliding_window", "chunk_size", "max_seq_len"):
            continue
        if trials.base.values[hf] is not None:
            trial = trials.attempt({hf: None})
            if trial is None:
                continue
        known = {"hidden_dim", "num_heads", "num_kv_heads", *(("expert_dim",) if ours == "intermediate_dim" else ())}
        basic = [h for o, h in found.sizes.items() if o != ours and o in known]
        expressions = [*(_quotients(basic)), *basic, *(f"{k} * {h}" for h in basic for k in (4, 2, 3, 8))]
        for expression in expressions:
            if not _unset_holds(trials, hf, name, expression):
                continue
            # The expression's own fields are altered too, with the field unset.
            again = []
            for other in basic:
                if other in expression.split():
                    for value in (trials.base.values[other] * 2, trials.base.values[other] * 4 // 3):
                        trial = trials.attempt({hf: None, other: value})
                        if trial is not None and trial.measures is not None:
                            again.append(trial)
                            break
            if _unset_holds(trials, hf, name, expression):
                found.unset[hf] = expression
                found.evidence.append(Evidence(f"None in {hf}", expression, 0.0, probe=f"{len(again) + 1} configs"))
                break


def _quotients(names: list[str]) -> list[str]:
    return [f"{a} // {b}" for a, b in itertools.permutations(names, 2)]


def _unset_holds(trials: Trials, hf: str, name: str, expression: str) -> bool:
    # A config class may compute the value itself: its own attribute then shows what None became.
    unset = [t for t in trials.examined if t.values.get(hf) is None or t.changes.get(hf, 0) is None]
    # Where all layers have experts there is no width of others.
    pairs = [(_evaluate(expression, t.values), held) for t in unset if (held := getattr(t.measures, name)) is not None]
    return bool(pairs) and all(expected == held for expected, held in pairs)


def _evaluate(expression: str, values: Mapping[str, Any]) -> int | None:
    left, operator, right = ([*expression.split(), "", ""])[:3]
    numbers = [int(part) if part.isdigit() else values.get(part) for part in (left, right) if part]
    if any(not isinstance(n, int) for n in numbers):
        return None
    a, b = numbers[0], numbers[-1]
    assert isinstance(a, int)
    assert isinstance(b, int)
    return a * b if operator == "*" else a // b if operator == "//" else a
