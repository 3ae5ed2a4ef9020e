"""Which config field is which answer: hypotheses that hold in every config that was examined, and varied."""

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from levgen.survey.config.lists import kind_of
from levgen.survey.config.measures import Measures, alike
from levgen.survey.config.temperature import map_temperature
from levgen.survey.config.trials import ROUNDING, Trial, Trials
from levgen.survey.evidence import Evidence, Unknown
from levgen.survey.mixture.measures import MIXTURE
from levgen.survey.observe.shapes import LENGTH
from levgen.survey.questions.learned_activation import FORMS

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
# What a factor is where it does nothing.
NEUTRAL: dict[str, float | None] = {
    "norm_eps": None,
    "embedding_scale": 1.0,
    "attention_scale": None,
    "attention_softcap": None,
    "attention_clip": None,
    "latent_norm_eps": None,
    "growth_length": None,
    "growth_exponent": None,
    "value_scale": 1.0,
    "indexer_norm_eps": None,
    "residual_scale": 1.0,
    "moe_scale": 1.0,
    "moe_norm_order": None,
    "router_jitter": None,
    "swiglu_alpha": None,
    "swiglu_limit": None,
    "logit_scale": 1.0,
    "logit_softcap": None,
}
# Factors of layers that don't rotate; the measure that says which of them these are.
_OF_SOME = {"growth_length": "unturned", "growth_exponent": "unturned"}
_POWERS = (1.0, -1.0, -0.5, 0.5)
# Our names of sizes that a factor may hold a power of, beside a field or alone.
_ALONE = (("head_dim", -0.5), ("hidden_dim", 0.5), ("head_dim", 0.5))
_BESIDE = (("hidden_dim", -1.0), ("hidden_dim", -0.5), ("num_layers", -0.5), ("num_layers", -1.0))


@dataclass
class FieldMap:
    """`sizes` and `switches`: our name -> HF field. `factors`: measure -> a factor as a card writes it."""

    sizes: dict[str, str] = field(default_factory=dict)
    unset: dict[str, str] = field(default_factory=dict)  # HF field -> what its None means
    factors: dict[str, Any] = field(default_factory=dict)
    switches: dict[str, str] = field(default_factory=dict)  # measure -> HF field
    activation: str | None = None
    transform_activation: str | None = None
    rope: str | None = None
    local_rope: str | None = None
    joint_width: bool = False  # the field of the MLP's width counts gate and up together
    extra_rows: int = 0  # of the token embedding, after those of the vocabulary
    never_tied: bool = False  # the head is a matrix of its own, and no field says so
    lists: dict[str, str] = field(default_factory=dict)  # role of a list by layer -> HF field
    in_layers: dict[str, str] = field(default_factory=dict)  # answer about a layer -> in which layers that is
    initializer: str | None = None
    embedding_initializer: str | None = None
    cutoff: str | None = None  # of fresh weights
    fixed: dict[str, Any] = field(default_factory=dict)
    derived: dict[str, str] = field(default_factory=dict)
    ignored: dict[str, str] = field(default_factory=dict)
    evidence: list[Evidence] = field(default_factory=list)
    unknown: list[Unknown] = field(default_factory=list)

    def mapped(self) -> set[str]:
        """The HF fields that an answer is read from, and those that hold what it is read from."""
        single = (
            self.activation,
            self.transform_activation,
            self.rope,
            self.local_rope,
            self.initializer,
            self.embedding_initializer,
            self.cutoff,
        )
        names = {
            *self.sizes.values(),
            *self.switches.values(),
            *self.lists.values(),
            *(name for name in single if name),
        }
        factors = {hf for factor in self.factors.values() if (hf := field_of(factor)) is not None}
        return {name.partition(".")[0] for name in names} | names | factors


def field_of(factor: Any) -> str | None:
    """The HF field that a factor as a card writes it is read from; None for a number, or a size's power alone."""
    if not isinstance(factor, str):
        return None
    sizes = {size for size, _ in (*_ALONE, *_BESIDE)}
    return next((name for power in factor.split(" * ") if (name := power.partition("**")[0]) not in sizes), None)


def sizes_in(factor: Any) -> set[str]:
    """Our names of the sizes that a factor as a card writes it holds a power of."""
    names = {power.partition("**")[0] for power in factor.split(" * ")} if isinstance(factor, str) else set()
    return names - {field_of(factor)}


def map_fields(trials: Trials) -> FieldMap:
    """The map from HF fields to answers. What can't be mapped is fixed to its value, or noted as unknown."""
    found = FieldMap()
    map_sizes(trials, found)
    _map_companions(trials, found)
    _map_bound_heads(trials, found)
    _map_unset(trials, found)
    map_temperature(trials, found)
    _map_kinds(trials, found)
    _map_idle_window(trials, found)
    _map_factors(trials, found)
    _map_switches(trials, found)
    return found


# Sizes ----------------------------------------------------------------------------------------------------------------


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


def _map_companions(trials: Trials, found: FieldMap) -> None:
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


def _map_bound_heads(trials: Trials, found: FieldMap) -> None:
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


def _map_unset(trials: Trials, found: FieldMap) -> None:
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


# Factors --------------------------------------------------------------------------------------------------------------


def _map_factors(trials: Trials, found: FieldMap) -> None:
    """Each factor as a power of a size or of a field, or as a number that never changed."""
    for name, neutral in NEUTRAL.items():
        measured = {id(t): factor_in(trials, found, t, name) for t in trials.examined}
        base = measured[id(trials.base)]
        if base is None and all(v is None for v in measured.values()):
            continue
        tolerance = 1e-3 if name.endswith("norm_eps") else 1e-5
        for factor, held, hf in _factor_hypotheses(trials, found, neutral):
            runs = _factor_runs(trials, found, name, hf, measured)
            values = [held(t) for t in runs]
            varied = any(not alike(v, values[0], tolerance) for v in values)
            if varied and all(alike(measured[id(t)], v, tolerance) for t, v in zip(runs, values, strict=True)):
                found.factors[name] = factor
                others = sum(not alike(measured[id(t)], base) for t in runs)
                found.evidence.append(
                    Evidence(f"factor {name}", factor, 0.0, probe=f"{len(runs)} configs, {others} with another value")
                )
                break
        else:
            runs = _factor_runs(trials, found, name, None, measured)
            found.factors[name] = base
            if not all(alike(measured[id(t)], base, tolerance) for t in runs):
                seen = [(t.changes, measured[id(t)]) for t in runs if not alike(measured[id(t)], base)]
                found.unknown.append(
                    Unknown(f"factor {name}", f"{base} in the tiny config, {seen[:3]}: it follows no field")
                )


def factor_in(trials: Trials, found: FieldMap, trial: Trial, name: str) -> float | None:
    """A factor as measured; the scale of attention without what the rotation's own parameters multiply it by."""
    value: float | None = getattr(trial.measures, name)
    if name != "attention_scale" or value is None or found.rope is None or trial.measures is None:
        return value
    parameters = trial.values.get(found.rope.partition(".")[0])
    if "." in found.rope and isinstance(parameters, Mapping):
        parameters = parameters.get(found.rope.partition(".")[2])
    expected = rope_frequencies(parameters, trial.measures)
    if trial.measures.latent:
        return value / score_scaling(parameters) if isinstance(parameters, Mapping) and expected is not None else value
    whole = trial.measures.rotary_dim == trial.measures.head_dim
    return value if expected is None or not whole else value / expected[1] ** 2


def _factor_runs(
    trials: Trials, found: FieldMap, name: str, hf: str | None, measured: Mapping[int, Any]
) -> list[Trial]:
    """The trials that a hypothesis about a factor must hold in: those of sizes, of its own field, and all that kept it.

    A field of another kind that changes the factor is fixed to its value.
    """
    base = measured[id(trials.base)]
    sized = {*found.sizes.values(), *found.derived, *({hf} if hf else set())}
    runs = [t for t in trials.examined if set(t.changes) <= sized or alike(measured[id(t)], base)]
    # Where no layer has experts, nothing scales them; where all rotate, no queries grow.
    return [t for t in runs if base is None or measured[id(t)] is not None or _has(t, _OF_SOME.get(name, "sparse"))]


def _has(trial: Trial, which: str) -> bool:
    """Whether some of the layers that were examined are such as the measure `which` says."""
    return trial.measures is None or any(getattr(trial.measures, which))


def _factor_hypotheses(
    trials: Trials, found: FieldMap, neutral: float | None
) -> Iterator[tuple[str, Callable[[Trial], float | None], str | None]]:
    """(as a card writes it, its value in a trial, the field it comes from). None in a field is `neutral`."""
    for hf, value in trials.base.values.items():
        if not _may_be_factor(trials, found, hf, value):
            continue
        for power in _POWERS:

            def of_field(trial: Trial, hf: str = hf, power: float = power) -> float | None:
                held = trial.values.get(hf, 0)
                if held is None:
                    return neutral
                return None if not isinstance(held, int | float) or held <= 0 else float(float(held) ** power)

            yield hf if power == 1.0 else f"{hf}**{power:g}", of_field, hf
    for size, power in _ALONE:
        yield f"{size}**{power:g}", _power_of(size, power), None
    for hf, value in trials.base.values.items():
        if not _may_be_factor(trials, found, hf, value):
            continue
        for size, power in _BESIDE:

            def of_both(trial: Trial, hf: str = hf, size: str = size, power: float = power) -> float | None:
                held = trial.values.get(hf)
                return None if not isinstance(held, int | float) else held * _power_of(size, power)(trial)

            yield f"{hf} * {size}**{power:g}", of_both, hf


def _power_of(size: str, power: float) -> Callable[[Trial], float]:
    return lambda trial: float(float(getattr(trial.measures, size)) ** power)


def _may_be_factor(trials: Trials, found: FieldMap, hf: str, value: Any) -> bool:
    """Whether a field holds a number that was altered, and is no size's."""
    if isinstance(value, bool) or not isinstance(value, int | float | None) or hf in found.sizes.values():
        return False
    return _is_identifier(hf) and any(trial.measures is not None for trial in trials.of(hf))


def _is_identifier(name: str) -> bool:
    return all(part.isidentifier() and part == part.lower() and not part.startswith("_") for part in name.split("."))


# Switches and kinds ---------------------------------------------------------------------------------------------------


def _map_switches(trials: Trials, found: FieldMap) -> None:
    base = trials.base.measures
    assert base is not None
    names = ["attention_bias", "output_bias", "mlp_bias", "transform_bias", "head_bias", "tied", "moe_normalized"]
    # A norm with a gain is in a checkpoint or isn't: there its field is fixed.
    names += ["has_qk_norm"] if not base.qk_norm_weight else []
    names += ["has_temperature"] if "temperature_span" in found.sizes else []
    for name in names:
        for hf, value in trials.base.values.items():
            if not isinstance(value, bool):
                continue
            own = [t for t in trials.of(hf) or _bound(trials, hf) if t.measures is not None]
            if own and all(getattr(t.measures, name) == t.values[hf] for t in (trials.base, *own)):
                found.switches[name] = hf
                found.derived |= {other: hf for trial in own for other in trial.changes if other != hf}
                found.evidence.append(Evidence(f"switch of {name}", hf, 0.0, probe=f"{hf} on and off"))
                break


def _bound(trials: Trials, hf: str) -> list[Trial]:
    """The trials that altered a switch together with another one, which the config class wants to agree with it."""
    both = [trial for trial in trials.done if hf in trial.changes and len(trial.changes) == 2]
    return [trial for trial in both if all(isinstance(value, bool) for value in trial.changes.values())]


def _map_kinds(trials: Trials, found: FieldMap) -> None:
    base = trials.base.measures
    assert base is not None
    for hf, value in trials.base.values.items():
        own = [t for t in trials.of(hf) if t.measures is not None]
        for measure in ("activation", "transform_activation"):
            follows = own and all(t.measures is not None and t.values[hf] in getattr(t.measures, measure) for t in own)
            if isinstance(value, str) and value in getattr(base, measure) and follows and value not in FORMS:
                setattr(found, measure, hf)
                seen = [t.values[hf] for t in own]
                what = "of the activation" if measure == "activation" else "of the activation before the head"
                found.evidence.append(Evidence(f"field {what}", hf, 0.0, probe=f"{value}, {seen}"))
        if isinstance(value, Mapping) and base.position_kind == "rotary":
            _map_rope(trials, found, hf, own)
        if isinstance(value, list | tuple) and own:
            kind = kind_of([(t.values[hf], t.measures) for t in (trials.base, *own)])
            if kind is not None:
                found.lists[kind.role] = hf


def _map_idle_window(trials: Trials, found: FieldMap) -> None:
    """The window's field where no layer has one until the list of layers' types says so."""
    types = found.lists.get("layer_types")
    if types is None or "sliding_window" in found.sizes:
        return
    altered = next((t for t in trials.of(types) if t.measures is not None and t.measures.window), None)
    if altered is None or altered.measures is None:
        return
    for hf, value in trials.base.values.items():
        if value == altered.measures.window and not isinstance(value, bool):
            trial = trials.attempt({**altered.changes, hf: value + 3})
            if trial is not None and trial.measures is not None and trial.measures.window == value + 3:
                found.sizes["sliding_window"] = hf
                found.evidence.append(Evidence("field of sliding_window", hf, 0.0, probe=f"{value}, {value + 3}"))
                return


def _map_rope(trials: Trials, found: FieldMap, hf: str, own: list[Trial]) -> None:
    """Whether a mapping holds the parameters of the rotation: one set, or one for each type of layer."""
    runs = [trials.base, *own]
    local, whole = "sliding_attention", "full_attention"
    if not own:
        return
    if all(rotates_as(t.values[hf], t, windowed=None, tempered="temperature_span" in found.sizes) for t in runs):
        found.rope = hf
    elif all(_of_windows_alone(t.values[hf], local, whole) for t in runs):
        unturned = all(t.measures is not None and not _turned_without_window(t.measures) for t in runs)
        if unturned and all(rotates_as(t.values[hf][local], t, windowed=True) for t in runs):
            found.rope = f"{hf}.{local}"
            found.fixed[f"{hf}.{whole}"] = None
    elif all(_nested(t.values[hf]) for t in runs) and all(
        rotates_as(t.values[hf].get(whole), t, windowed=False) and rotates_as(t.values[hf].get(local), t, windowed=True)
        for t in runs
    ):
        found.rope, found.local_rope = f"{hf}.{whole}", f"{hf}.{local}"
    if found.rope is not None:
        found.evidence.append(Evidence("field of the rotation", found.rope, None, probe=f"{len(runs)} settings"))


def _nested(value: Any) -> bool:
    return isinstance(value, Mapping) and bool(value) and all(isinstance(item, Mapping) for item in value.values())


def _of_windows_alone(value: Any, local: str, whole: str) -> bool:
    """Whether a mapping holds parameters of a rotation for layers with a window, and None for the others."""
    return isinstance(value, Mapping) and value.keys() == {local, whole} and value[whole] is None


def _turned_without_window(measures: Measures) -> bool:
    layers = zip(measures.rotating, measures.windowed, strict=False)
    return any(rotates and not windowed for rotates, windowed in layers)


def rotates_as(parameters: Any, trial: Trial, *, windowed: bool | None, tempered: bool = False) -> bool:
    """Whether the measured frequencies are those of HF's `parameters`, in layers with a window, without, or all.

    `tempered`: how queries grow with their position is said by other fields.
    """
    measures = trial.measures
    expected = rope_frequencies(parameters, measures)
    if expected is None or measures is None:
        return False
    frequencies, scaling = expected
    if not tempered and not alike(measures.query_scaling, query_scaling(parameters), 1e-4):
        return False
    layers = zip(measures.frequencies, measures.rotating, measures.windowed, strict=False)
    chosen = [found for found, rotates, has in layers if rotates and (windowed is None or has == windowed)]
    if windowed is not None and not chosen:
        return True
    if measures.latent and not all(alike(one, scaling, 1e-4) for one in measures.rotary_scaling):
        return False
    return bool(chosen) and all(_same_frequencies(found, frequencies) for found in chosen)


def rope_frequencies(parameters: Any, measures: Measures | None) -> tuple[list[float], float] | None:
    """(angles a position, factor on cosine and sine) that `rope_parameters` mean; None for other mappings."""
    from levgen.errors import LevgenError
    from levgen.reference.tiny import LENGTH as MAX_SEQ_LEN
    from levgen.runtime.rotary import Rotary
    from levgen.runtime.rotary_frequencies import frequencies

    if not isinstance(parameters, Mapping) or measures is None:
        return None
    try:
        rotary = Rotary.from_hf(parameters, max_seq_len=MAX_SEQ_LEN)
        usual, long = frequencies(rotary, measures.turning_width)
    except (LevgenError, TypeError):
        return None
    limit = rotary.original_max_position_embeddings
    if rotary.kind == "longrope" and limit is not None and limit < LENGTH:
        usual = long
    return [float(f) for f in usual], rotary.attention_scaling


def query_scaling(parameters: Mapping[str, Any]) -> tuple[float, ...] | None:
    """What queries are multiplied by in a probe, where `rope_parameters` say so; None where that is 1 throughout."""
    import haliax as hax

    from levgen.reference.tiny import LENGTH as MAX_SEQ_LEN
    from levgen.runtime.rotary import Rotary

    rotary = Rotary.from_hf(parameters, max_seq_len=MAX_SEQ_LEN)
    ones = hax.ones(hax.Axis("position", LENGTH))
    scaling = rotary.scaled_queries(ones, hax.arange(ones.axes[0])).array.tolist()
    return None if all(factor == 1.0 for factor in scaling) else tuple(scaling)


def score_scaling(parameters: Mapping[str, Any]) -> float:
    """What scores of latent attention are multiplied by beside their scale, as `rope_parameters` say."""
    from levgen.reference.tiny import LENGTH as MAX_SEQ_LEN
    from levgen.runtime.rotary import Rotary

    return Rotary.from_hf(parameters, max_seq_len=MAX_SEQ_LEN).score_scaling


def rotation_refusal(parameters: Mapping[str, Any]) -> str | None:
    """Why parameters with a theta are no rotation that the runtime has; None where they are one, or none at all."""
    from levgen.errors import LevgenError
    from levgen.reference.tiny import LENGTH as MAX_SEQ_LEN
    from levgen.runtime.rotary import Rotary

    if "rope_theta" not in parameters:
        return None
    try:
        Rotary.from_hf(parameters, max_seq_len=MAX_SEQ_LEN)
    except (LevgenError, TypeError) as error:
        return str(error).splitlines()[0]
    return None


def as_rotary(parameters: Mapping[str, Any], limit: int) -> dict[str, Any]:
    """HF's rope parameters as a card writes them: theta, and what isn't at its own default."""
    from levgen.runtime.rotary import Rotary

    rotary = Rotary.from_hf(parameters, max_seq_len=limit)
    values = {
        field.name: list(value) if isinstance(value, tuple) else value
        for field in dataclasses.fields(rotary)
        if (value := getattr(rotary, field.name)) != field.default
    }
    return {"theta": rotary.theta} | values


def _same_frequencies(found: tuple[float, ...], expected: list[float]) -> bool:
    """Equal as far as a probe resolves: an angle of 1e-6 at its last distance."""
    if len(found) > len(expected):
        return False
    padded = [*found, *[0.0] * (len(expected) - len(found))]
    return all(abs(a - b) <= 1e-4 * b + 2e-6 for a, b in zip(padded, expected, strict=True))
