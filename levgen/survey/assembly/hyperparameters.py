"""The fields of the generated config: what each is at full size, and which field of the reference it is."""

from collections.abc import Mapping
from typing import Any

from levgen.reference.runs import is_runs
from levgen.reference.sizing.values import is_int
from levgen.scaffold.parts import load_part
from levgen.survey.assembly.names import of_transformers, own_name
from levgen.survey.assembly.rotation import length_field, rotation_of
from levgen.survey.config.factors import NEUTRAL
from levgen.survey.config.field_map import FieldMap, field_of
from levgen.survey.config.measures import Measures
from levgen.survey.config.trials import Trials
from levgen.survey.evidence import UnresolvedError
from levgen.survey.mixture.card import NUMBERS
from levgen.survey.mixture.measures import MIXTURE
from levgen.survey.unknown.inside import Inside

_ORDER = (
    "max_seq_len",
    "hidden_dim",
    "intermediate_dim",
    "expert_dim",
    "num_experts",
    "num_experts_per_tok",
    "sparse_layers",
    "num_shared_experts",
    "num_dense_layers",
    "sparse_step",
    "dense_layers",
    "num_expert_groups",
    "num_kept_groups",
    "shared_expert_dim",
    "mlp_multiple",
    "num_layers",
    "num_heads",
    "num_kv_heads",
    "head_dim",
    "q_lora_rank",
    "kv_lora_rank",
    "qk_nope_head_dim",
    "qk_rope_head_dim",
    "v_head_dim",
    "index_num_heads",
    "index_head_dim",
    "index_topk",
    "norm_gate_rank",
    "activation",
    "norm_eps",
    "initializer_range",
    "embedding_initializer_range",
    "rope",
    "rotary_dim",
    "local_rope",
    "sliding_window",
    "chunk_size",
    "layer_types",
    "rope_layers",
    "layer_thetas",
    "attention_types",
    "temperature_span",
    "temperature_scale",
    "mixer_types",
)


# Hyperparameter that may be None -> the measure that is None then: no window, queries of full rank.
_OPTIONAL = {"sliding_window": "window", "q_lora_rank": "q_lora_rank"}

# Hyperparameters that may be None together only, which a class is by default: nothing lies in groups then.
_TOGETHER = ("num_expert_groups", "num_kept_groups")

# Where a class's own default can't be built: the usual size, a field or the quotient of two.
_USUAL = {"num_kv_heads": ("num_heads",), "head_dim": ("hidden_dim", "num_heads")}
_SWITCHES = (
    "attention_bias",
    "output_bias",
    "mlp_bias",
    "transform_bias",
    "head_bias",
    "moe_normalized",
    "has_qk_norm",
    "has_temperature",
)


def hyperparameters_of(trials: Trials, found: FieldMap, measures: Measures, inside: Inside) -> dict[str, Any]:
    """Every hyperparameter, in the order of a card. Takes the field of a length that it finds out of `found`'s others.

    Raises UnresolvedError where one has two meanings, or no field of a reference in transformers.
    """
    made = {ours: _size(trials, found, ours, hf) for ours, hf in found.sizes.items() if ours not in _turned(found)}
    if measures.latent and "q_lora_rank" not in made and measures.q_lora_rank is None:
        made["q_lora_rank"] = {"default": None, "optional": True}  # queries are of full rank, and no field says so
    length = length_field(trials, found)
    if "max_seq_len" not in made and length is not None:
        made["max_seq_len"] = {"default": trials.fields[length], "hf": length}
        found.ignored.pop(length, None)
        found.fixed.pop(length, None)
    # Where no field states a length, the config of a checkpoint may still do so by transformers' own name.
    made.setdefault("max_seq_len", {"default": 2048, "hf": "max_position_embeddings", "unset": "2048"})
    eps = found.factors["norm_eps"]
    plain = {
        "activation": found.activation,
        "head_activation": found.transform_activation,
        "norm_eps": eps if isinstance(eps, str) else None,
        "initializer_range": found.initializer,
        "embedding_initializer_range": found.embedding_initializer,
        "initializer_cutoff": found.cutoff,
    }
    made |= {ours: {"default": trials.fields[hf], "hf": hf} for ours, hf in plain.items() if hf is not None}
    made |= rotation_of(trials, found, measures)
    made |= _lists(trials, found) | _factors(trials, found) | _switches(trials, found, measures)
    taken = sorted(made.keys() & inside.hyperparameters.keys())
    if taken:
        raise UnresolvedError("fields of hyperparameters", f"{taken} are names of two hyperparameters each")
    made |= inside.hyperparameters
    if inside.parts:
        _keep_sizes(trials, made)
    without = [name for name, parameter in made.items() if parameter.get("hf") is None]
    if without and of_transformers(trials):
        raise UnresolvedError("fields of hyperparameters", f"no field of the config is that of {', '.join(without)}")
    first = {name: made[name] for name in _ORDER if name in made}
    return first | {name: value for name, value in made.items() if name not in first}


def _turned(found: FieldMap) -> set[str]:
    """Sizes that the parameters of a rotation say."""
    return set() if found.rope is None else {"rotary_dim"}


def _size(trials: Trials, found: FieldMap, ours: str, hf: str) -> dict[str, Any]:
    """A size that the field `hf` holds."""
    if ours in _TOGETHER and _may_be_none_together(trials, found):
        return {"default": None, "hf": hf, "optional": True}
    made: dict[str, Any] = {"default": _size_at_full(trials, found, ours, hf), "hf": hf}
    if hf in found.unset:
        made["unset"] = found.unset[hf]
    elif ours in MIXTURE and trials.fields[hf] is None:
        made["open"] = True
    if ours in _OPTIONAL and _may_be_none(trials, hf, _OPTIONAL[ours]):
        made["optional"] = True
    return made


def _size_at_full(trials: Trials, found: FieldMap, ours: str, hf: str) -> Any:
    """The default of a size, or what stands in for one that the class leaves open, or that doesn't fit its others."""
    size = _default(trials, hf, found.unset)
    if size is None and ours in _USUAL:
        numbers = [trials.fields[found.sizes[name]] for name in _USUAL[ours] if name in found.sizes]
        size = numbers[0] if len(numbers) == 1 else numbers[0] // numbers[1]
    if size is None and ours in MIXTURE:
        # A class may leave open which experts there are: those of the tiny config, or of the part, stand in.
        usual = {spec.name: spec.default for spec in load_part("moe").hyperparameters}
        size = usual.get(ours, trials.base.values[hf])
    if ours == "sliding_window" and size == 0:
        # Of a window that a switch turns off: what it is where that is on.
        switches = [name for name, expression in found.derived.items() if expression == f"{hf} > 0"]
        size = getattr(trials.tiny.found.config(**dict.fromkeys(switches, True)), hf)
    if hf in trials.tiny.unnamed:
        # The class's own sizes don't divide: a power of two stands in for what a checkpoint states.
        size = 1 << (size - 1).bit_length()
    return size


def _lists(trials: Trials, found: FieldMap) -> dict[str, Any]:
    """Lists by layer."""
    made: dict[str, Any] = {}
    for ours, hf in found.lists.items():
        entries = list(trials.fields[hf])
        made[ours] = {"default": entries, "hf": hf} | ({} if is_runs(entries) else {"nano": entries[:4]})
        if ours == "mixer_types":
            # Both kinds where there are few layers.
            mixer = next(e for e in (*entries, *trials.base.values[hf]) if e != "full_attention")
            made[ours] |= {"nano": 2 * [mixer, "full_attention"], "tiny": [mixer, "full_attention", mixer]}
    return made


def _factors(trials: Trials, found: FieldMap) -> dict[str, Any]:
    """Numbers that multiply or limit something, by the names that the reference has for them."""
    made: dict[str, Any] = {}
    for measure, factor in found.factors.items():
        hf = field_of(factor)
        if hf is not None and measure in (*NUMBERS, "temperature_scale"):
            made[measure] = {"default": _number(trials, hf), "hf": hf}
        elif hf is not None and factor != found.factors["norm_eps"]:
            own = own_name(hf)
            made[own] = {"default": _number(trials, hf), "hf": hf}
            if measure == "moe_norm_order" and _may_be_none(trials, hf, measure):
                made[own]["optional"] = True
            if trials.fields[hf] is None and trials.attempt({hf: None}, examine=False) is None:
                made[own] |= {"default": float(trials.base.values[hf]), "open": True}
            elif trials.fields[hf] is None:
                made[own] |= {"default": 1.0, "unset": "1"} if NEUTRAL[measure] == 1.0 else {"optional": True}
    return made


def _switches(trials: Trials, found: FieldMap, measures: Measures) -> dict[str, Any]:
    """What is true or false, by the names that the reference has for it, and last whether embeddings are the head's."""
    made = {hf: {"default": trials.fields[hf], "hf": hf} for name, hf in found.switches.items() if name in _SWITCHES}
    if not found.never_tied:
        tied = found.switches.get("tied")
        tie = {"default": measures.tied} if tied is None else {"default": trials.fields[tied], "hf": tied}
        made["tie_word_embeddings"] = tie
    return made


def _default(trials: Trials, hf: str, unset: Mapping[str, str]) -> Any:
    """A field's value at full size."""
    from levgen.survey.config.sizes import _evaluate

    value = trials.fields[hf]
    if value is None and hf in unset:
        return _evaluate(unset[hf], trials.fields)
    return value


def _number(trials: Trials, hf: str) -> Any:
    """The default of a field that multiplies something: a float where the config class takes any number."""
    value = trials.fields[hf]
    if not is_int(value):
        return value
    try:
        return float(value) if getattr(trials.tiny.config(**{hf: value + 0.5}), hf) == value + 0.5 else value
    except Exception:  # whatever a config class raises where it refuses
        return value


def _keep_sizes(trials: Trials, made: dict[str, Any]) -> None:
    """Tests of a model with an unknown module take the sizes that the survey did: whether others go together, nobody
    knows. How many layers and positions there are doesn't matter to a module."""
    for ours, parameter in made.items():
        hf = parameter.get("hf")
        value = trials.base.values.get(hf) if hf is not None else None
        if ours not in ("num_layers", "max_seq_len") and is_int(value) and "tiny" not in parameter:
            parameter["tiny"] = value


def _may_be_none_together(trials: Trials, found: FieldMap) -> bool:
    """Whether the fields of groups are None by default, and no expert lies in a group where they are."""
    fields = [found.sizes[name] for name in _TOGETHER if name in found.sizes]
    if len(fields) < len(_TOGETHER) or any(trials.fields[hf] is not None for hf in fields):
        return False
    trial = trials.attempt(dict.fromkeys(fields))
    return trial is not None and trial.measures is not None and trial.measures.num_expert_groups is None


def _may_be_none(trials: Trials, hf: str, measure: str) -> bool:
    """Whether the field of a size may be None, for nothing of that size."""
    if trials.fields[hf] is None:
        return True
    trial = trials.attempt({hf: None})
    return trial is not None and trial.measures is not None and getattr(trial.measures, measure) is None
