"""Putting the answers together: findings and field map -> an architecture."""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any, get_args

from levgen.architecture.card import parse_card
from levgen.architecture.schema import Activation, Architecture, RopeKind
from levgen.reference.find import Found
from levgen.reference.runs import is_runs
from levgen.reference.tiny import is_int
from levgen.scaffold.complete import DERIVED
from levgen.scaffold.parts import load_part, needed_hyperparameters
from levgen.survey.config.fields import NEUTRAL, FieldMap, as_rotary, field_of, rope_frequencies
from levgen.survey.config.measures import Measures, alike
from levgen.survey.config.rope_kinds import rope_kinds
from levgen.survey.config.trials import Trials
from levgen.survey.evidence import UnresolvedError
from levgen.survey.mixture.balance import Balance
from levgen.survey.mixture.card import NUMBERS, find_mixture_names, moe_answers
from levgen.survey.mixture.measures import MIXTURE
from levgen.survey.mixture.names import MixtureNames
from levgen.survey.names import checkpoint_roles
from levgen.survey.questions.initialization import Initialization
from levgen.survey.unknown.inside import Inside
from levgen.survey.unknown.plugs import Plugs

_ORDER = (
    "max_seq_len",
    "hidden_dim",
    "intermediate_dim",
    "expert_dim",
    "num_experts",
    "num_experts_per_tok",
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
    "activation",
    "norm_eps",
    "initializer_range",
    "embedding_initializer_range",
    "rope",
    "rotary_dim",
    "local_rope",
    "sliding_window",
    "layer_types",
    "rope_layers",
    "layer_thetas",
    "attention_types",
)

# Hyperparameter that may be None -> the measure that is None then: no window, queries of full rank.
_OPTIONAL = {"sliding_window": "window", "q_lora_rank": "q_lora_rank"}

# Where a class has no parameters of its own: the base of all configs of transformers.
_USUAL_ROTATION = {"rope_type": "default", "rope_theta": 10000.0}


def assemble(
    trials: Trials,
    found: FieldMap,
    init: Initialization,
    inside: Inside | None = None,
    balance: Balance | None = None,
) -> Architecture:
    """The architecture that the findings make up. Raises UnresolvedError where they don't, and LevgenError where the
    schema can't hold them.

    `inside`: what is known of modules that are unknown, and that were plugged in `trials`. `balance`: of routers.
    """
    measures = trials.base.measures
    assert measures is not None
    reference = trials.tiny.found
    inside = inside or Inside()
    experts = find_mixture_names(trials.structure)
    moe = None
    if experts is not None:
        others = [trial.measures for trial in trials.examined if trial.measures is not None]
        moe = moe_answers(found, measures, others, experts, balance, _scale(found, "moe_scale", 1.0))
    hyperparameters = _hyperparameters(trials, found, measures, inside)
    if balance is not None:
        # A fresh config trains its routers to be in balance, whatever the reference's says.
        hyperparameters["load_balancing"] = {"default": True, "hf": balance.switch}
        coefficient = {"default": trials.fields[balance.coefficient], "hf": balance.coefficient}
        hyperparameters["router_aux_loss_coef"] = coefficient
    aside = None if experts is None else measures.names["decoder_layer"]["mlp"]
    names = checkpoint_roles(trials.structure.model, measures.names, aside)
    if "q_lora_rank" in found.sizes and "optional" in hyperparameters["q_lora_rank"]:
        names["attention"] |= _names_at_other_rank(trials, found.sizes["q_lora_rank"], aside)
    if experts is not None:
        _name_experts(names, experts)
    if inside.parts:
        _name_unknown(names, trials)
    data: dict[str, Any] = {
        "title": _title(reference),
        "reference": _reference(trials, found, measures),
        "hyperparameters": hyperparameters,
        "fixed": {name: value for name, value in found.fixed.items() if name not in found.derived},
        "derived": found.derived,
        "ignored": found.ignored,
        "norm": _norm(found, measures),
        "positions": _positions(trials, found, measures, hyperparameters),
        "attention": {} if "attention" in inside.parts else _attention(trials, found, measures),
        "mlp": {} if "mlp" in inside.parts else _mlp(trials, found, measures, inside),
        "layer": {
            "norms": measures.layer_norms,
            "parallel": measures.parallel,
            "residual_scale": _scale(found, "residual_scale", 1.0),
            "mlp_output_norm": "sparse" if measures.moe_output_norm else "none",
            **found.in_layers,
        },
        "embeddings": {
            "scale": _scale(found, "embedding_scale", 1.0),
            "norm": measures.embedding_norm,
            "extra_rows": found.extra_rows,
        },
        "head": {
            "tied": "never" if found.never_tied else "configured",
            "bias": found.switches.get("head_bias", measures.head_bias),
            "scale": _scale(found, "logit_scale", 1.0),
            "softcap": _scale(found, "logit_softcap", None),
            "final_norm": measures.final_norm,
        },
        "head_transform": _head_transform(found, measures),
        "initialization": dataclasses.asdict(init),
        "names": names,
        **({} if experts is None else {"moe": moe, "renamed": experts.renamed}),
        "unknown": inside.parts,
    }
    return with_all_numbers(parse_card(data, source=f"the survey of {reference.model_type}"))


def with_all_numbers(architecture: Architecture) -> Architecture:
    """`architecture`; raises UnresolvedError where its parts need a number that no field of a reference's config is."""
    missing = sorted(needed_hyperparameters(architecture).keys() - architecture.hyperparameters.keys() - DERIVED)
    if missing and architecture.reference is not None:
        raise UnresolvedError("numbers of the model", f"no field of the config says what {', '.join(missing)} is")
    return architecture


def _names_at_other_rank(trials: Trials, hf: str, aside: str | None) -> dict[str, str | None]:
    """Names in attention that are there only where the rank of queries is None, or only where it is a number."""
    base = trials.base.measures
    other = next(t for t in trials.of(hf) if t.measures is not None and t.changes[hf] is None)
    assert base is not None
    assert other.measures is not None
    names = checkpoint_roles(trials.tiny.build(random=False, **other.changes), other.measures.names, aside)
    return {role: name for role, name in names["attention"].items() if role not in base.names["attention"]}


def _name_experts(names: dict[str, dict[str, str | None]], experts: MixtureNames) -> None:
    """Puts a mixture of experts into `names`, with the expert that all tokens go to as an MLP."""
    held = names["decoder_layer"].setdefault("mlp", experts.module or None)
    dense = names.get("mlp", experts.mlp)
    if held != (experts.module or None) or (experts.mlp and dense != experts.mlp):
        observed = f"{held}: {dense} without experts, {experts.module}: {experts.mlp} with"
        raise UnresolvedError("names in layers with experts", observed)
    names["moe"] = experts.moe
    if dense:
        names["mlp"] = {**dense}


def _name_unknown(names: dict[str, dict[str, str | None]], trials: Trials) -> None:
    """Takes plugs out of `names`, and puts an unknown activation into them."""
    plugs = trials.tiny.plugs
    assert isinstance(plugs, Plugs)
    for part in ("attention", "mlp"):
        if plugs.of(part) is not None:
            del names[part]
    activation = plugs.of("activation")
    if activation is not None:
        above = names["decoder_layer"]["mlp"]
        names["mlp"]["act"] = activation.below.removeprefix(f"{above}.") if above else activation.below


def _title(found: Found) -> str:
    name: str = found.model_class.__name__
    for suffix in ("ForCausalLM", "LMHeadModel", "ForConditionalGeneration"):
        name = name.removesuffix(suffix)
    return name


def _of_transformers(trials: Trials) -> bool:
    return trials.tiny.found.module.startswith("transformers.")


def _reference(trials: Trials, fields: FieldMap, measures: Measures) -> dict[str, Any] | None:
    import transformers

    if not _of_transformers(trials):
        return None
    found = trials.tiny.found
    kinds: list[RopeKind] = list(get_args(RopeKind))
    if _scales_queries(trials):  # of the runtime's kinds of rotation, one says how queries grow
        kinds = ["yarn"]
    elif fields.rope is not None and isinstance(getattr(trials.tiny.config(), fields.rope, None), dict):
        kinds = rope_kinds(trials.tiny, fields.rope, measures.rotary_dim // 2)
    return {
        "module": found.module,
        "model": found.model_class.__name__,
        "config": found.config_class.__name__,
        "model_type": found.model_type,
        "version": transformers.__version__,
        "rope_kinds": kinds,
    }


def _default(trials: Trials, hf: str, unset: Mapping[str, str]) -> Any:
    """A field's value at full size."""
    from levgen.survey.config.fields import _evaluate

    value = trials.fields[hf]
    if value is None and hf in unset:
        return _evaluate(unset[hf], trials.fields)
    return value


def _hyperparameters(trials: Trials, found: FieldMap, measures: Measures, inside: Inside) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for ours, hf in found.sizes.items():
        if ours == "rotary_dim" and found.rope is not None:
            continue
        made[ours] = {"default": _default(trials, hf, found.unset), "hf": hf}
        if hf in found.unset:
            made[ours]["unset"] = found.unset[hf]
        if made[ours]["default"] is None and ours in ("num_kv_heads", "head_dim"):
            # A class whose own default can't be built: the usual size stands in for it.
            usual = {"num_kv_heads": "num_heads", "head_dim": "hidden_dim // num_heads"}[ours].split()
            numbers = [trials.fields[found.sizes[size]] for size in usual if size in found.sizes]
            made[ours]["default"] = numbers[0] if len(numbers) == 1 else numbers[0] // numbers[1]
        if made[ours]["default"] is None and ours in MIXTURE:
            # A class may leave open which experts there are: those of the tiny config, or of the part, stand in.
            usual_sizes = {spec.name: spec.default for spec in load_part("moe").hyperparameters}
            made[ours]["default"] = usual_sizes.get(ours, trials.base.values[hf])
        if ours == "sliding_window" and made[ours]["default"] == 0:
            # Of a window that a switch turns off: what it is where that is on.
            switches = [name for name, expression in found.derived.items() if expression == f"{hf} > 0"]
            made[ours]["default"] = getattr(trials.tiny.found.config(**dict.fromkeys(switches, True)), hf)
        if hf in trials.tiny.unnamed:
            # The class's own sizes don't divide: a power of two stands in for what a checkpoint states.
            made[ours]["default"] = 1 << (made[ours]["default"] - 1).bit_length()
        if ours in _OPTIONAL:
            made[ours] |= {"optional": True} if _may_be_none(trials, hf, _OPTIONAL[ours]) else {}
    if measures.latent and "q_lora_rank" not in made and measures.q_lora_rank is None:
        made["q_lora_rank"] = {"default": None, "optional": True}  # queries are of full rank, and no field says so
    length = _length_field(trials, found)
    if "max_seq_len" not in made and length is not None:
        made["max_seq_len"] = {"default": trials.fields[length], "hf": length}
        found.ignored.pop(length, None)
        found.fixed.pop(length, None)
    # Where no field states a length, the config of a checkpoint may still do so by transformers' own name.
    made.setdefault("max_seq_len", {"default": 2048, "hf": "max_position_embeddings", "unset": "2048"})
    if found.activation is not None:
        made["activation"] = {"default": trials.fields[found.activation], "hf": found.activation}
    if found.transform_activation is not None:
        hf = found.transform_activation
        made["head_activation"] = {"default": trials.fields[hf], "hf": hf}
    eps = found.factors["norm_eps"]
    if isinstance(eps, str):
        made["norm_eps"] = {"default": trials.fields[eps], "hf": eps}
    if found.initializer is not None:
        made["initializer_range"] = {"default": trials.fields[found.initializer], "hf": found.initializer}
    if found.embedding_initializer is not None:
        hf = found.embedding_initializer
        made["embedding_initializer_range"] = {"default": trials.fields[hf], "hf": hf}
    if found.cutoff is not None:
        made["initializer_cutoff"] = {"default": trials.fields[found.cutoff], "hf": found.cutoff}
    made |= _rope(trials, found, measures)
    for ours, list_field in found.lists.items():
        entries = list(trials.fields[list_field])
        made[ours] = {"default": entries, "hf": list_field} | ({} if is_runs(entries) else {"nano": entries[:4]})
    for measure, factor in found.factors.items():
        name = field_of(factor)
        if measure in NUMBERS and name is not None:
            made[measure] = {"default": _number(trials, name), "hf": name}
        elif factor != eps and name is not None:
            own = _own_name(name)
            made[own] = {"default": _number(trials, name), "hf": name}
            if trials.fields[name] is None:
                made[own] |= {"default": 1.0, "unset": "1"} if NEUTRAL[measure] == 1.0 else {"optional": True}
    for measure, hf in found.switches.items():
        if measure in ("attention_bias", "output_bias", "mlp_bias", "transform_bias", "head_bias", "moe_normalized"):
            made[hf] = {"default": trials.fields[hf], "hf": hf}
    tie: dict[str, Any] = {"default": measures.tied}
    if "tied" in found.switches:
        tie = {"default": trials.fields[found.switches["tied"]], "hf": found.switches["tied"]}
    if not found.never_tied:
        made["tie_word_embeddings"] = tie
    taken = sorted(made.keys() & inside.hyperparameters.keys())
    if taken:
        raise UnresolvedError("fields of hyperparameters", f"{taken} are names of two hyperparameters each")
    made |= inside.hyperparameters
    if inside.parts:
        _keep_sizes(trials, made)
    without = [name for name, parameter in made.items() if parameter.get("hf") is None]
    if without and _of_transformers(trials):
        raise UnresolvedError("fields of hyperparameters", f"no field of the config is that of {', '.join(without)}")
    first = {name: made[name] for name in _ORDER if name in made}
    return first | {name: value for name, value in made.items() if name not in first}


def _own_name(hf: str) -> str:
    """What we call what a field of the reference holds, or a power of it: without the config in the config."""
    return re.sub(r"\b[a-z_]\w*\.", "", hf)


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


def _may_be_none(trials: Trials, hf: str, measure: str) -> bool:
    """Whether the field of a size may be None, for nothing of that size."""
    if trials.fields[hf] is None:
        return True
    trial = trials.attempt({hf: None})
    return trial is not None and trial.measures is not None and getattr(trial.measures, measure) is None


def _length_field(trials: Trials, found: FieldMap) -> str | None:
    """The field that states the longest sequence where nothing in the model has that size.

    A name is all there is to go by: transformers' own, or the only one that hints at a length. Nothing moved with it.
    """
    names = getattr(trials.tiny.found.config_class, "attribute_map", {})
    hf = str(names.get("max_position_embeddings", "max_position_embeddings"))
    if hf in found.ignored:
        return hf
    hinted = [
        name
        for name in found.ignored
        if any(hint in name for hint in ("seq_len", "max_len", "ctx", "position")) and _is_size(trials.fields[name])
    ]
    return hinted[0] if len(hinted) == 1 else None


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 64


def _rope(trials: Trials, found: FieldMap, measures: Measures) -> dict[str, Any]:
    """Hyperparameters of the rotation."""
    if measures.position_kind != "rotary" or (found.rope is None and "rotary_dim" in found.sizes):
        return {}
    made = {}
    for ours, hf in (("rope", found.rope), ("local_rope", found.local_rope)):
        if hf is not None:
            name, _, key = hf.partition(".")
            parameters = trials.fields[name].get(key, _USUAL_ROTATION) if key else trials.fields[name]
            length = found.sizes.get("max_seq_len") or _length_field(trials, found)
            limit = trials.fields[length] if length is not None else 2048
            made[ours] = {"default": as_rotary(parameters, limit), "hf": hf}
    if "rope" in made:
        if _scales_queries(trials):
            # A test must go past the length at which that begins.
            rope: Any = made["rope"]["default"]
            made["rope"]["tiny"] = {**rope, "theta": 500.0, "original_max_position_embeddings": 24}
        return made
    # No field holds it: the angles themselves.
    frequencies = next(f for f, rotates in zip(measures.frequencies, measures.rotating, strict=True) if rotates)
    theta = float(f"{frequencies[1] ** -len(frequencies):.5g}") if len(frequencies) > 1 else 10000.0
    fraction = measures.rotary_dim / measures.turning_width
    rotary = {"rope_theta": theta, "rope_type": "default"}
    rotary |= {"partial_rotary_factor": fraction} if fraction != 1 else {}
    expected = rope_frequencies(rotary, measures)
    if expected is None or not alike(tuple(expected[0]), frequencies, 1e-4):
        raise UnresolvedError("frequencies of rotary positions", f"{frequencies[:4]} are no powers of one number")
    return {"rope": {"default": {"theta": theta} | ({"fraction": fraction} if fraction != 1 else {})}}


def _scales_queries(trials: Trials) -> bool:
    """Whether queries grow with their position in some config that was examined."""
    return any(trial.measures is not None and trial.measures.query_scaling for trial in trials.examined)


def _norm(found: FieldMap, measures: Measures) -> dict[str, Any]:
    eps = found.factors["norm_eps"]
    return {
        "kind": measures.norm_kind,
        "weight": measures.norm_weight,
        "offset": measures.norm_offset,
        "bias": measures.norm_bias,
        "eps": "norm_eps" if isinstance(eps, str) else eps,
    }


def _positions(
    trials: Trials, found: FieldMap, measures: Measures, hyperparameters: Mapping[str, Any]
) -> dict[str, Any]:
    if _scales_queries(trials) and found.rope is None:
        raise UnresolvedError("scale of queries by position", "it follows no parameters of a rotation")
    positions: dict[str, Any] = {"kind": measures.position_kind, "offset": measures.position_offset}
    if measures.position_table is not None:
        positions["table"] = measures.position_table
    if measures.position_kind != "rotary":
        return positions
    positions["layout"] = measures.layout
    if measures.backwards:
        positions["backwards"] = True
    if _scales_queries(trials):
        positions["query_scaling"] = True
    if "rope" not in hyperparameters:
        positions["rotary_dim"] = "rotary_dim"
    # Where every layer of the tiny config has a window, the list shows it that was altered.
    by_window = trials.of(found.lists["layer_types"]) if "layer_types" in found.lists else []
    shown = [measures, *(trial.measures for trial in by_window if trial.measures is not None)]
    if not all(all(one.rotating) for one in shown):
        if by_window and all(one.rotating == one.windowed for one in shown):
            positions["layers"] = "windowed"
        elif by_window and all(one.rotating == _windowed_or_dense(one) for one in shown):
            positions["layers"] = "windowed_or_dense"
        elif "rope_layers" in found.lists:
            positions["layers"] = "listed"
        elif "layer_thetas" not in found.lists:
            raise UnresolvedError("which layers rotate", f"{measures.rotating}: as no field of the config says")
    if "layer_thetas" in found.lists:
        positions["layers"] = "by_theta"
    if found.local_rope is not None:
        positions["local_rope"] = True
    return positions


def _windowed_or_dense(measures: Measures) -> tuple[bool, ...]:
    """Of each layer that was examined, whether it has a window, or no experts."""
    layers = zip(measures.windowed, measures.sparse, strict=True)
    return tuple(windowed or not sparse for windowed, sparse in layers)


def _attention(trials: Trials, found: FieldMap, measures: Measures) -> dict[str, Any]:
    latent = {}
    if measures.latent:
        eps = found.factors["latent_norm_eps"]
        latent = {"heads": "latent", "head_dim": "free"}
        latent |= {} if eps == found.factors["norm_eps"] else {"latent_norm_eps": eps}
    return {
        **(latent or {"heads": _heads(trials, found), "head_dim": _head_dim(trials, found)}),
        "projections": measures.projections,
        "transposed": measures.attention_transposed,
        "bias": found.switches.get("attention_bias", measures.attention_bias),
        "output_bias": found.switches.get("output_bias", measures.output_bias),
        "qk_norm": measures.qk_norm,
        "norm_after_rotation": measures.norm_after_rotation,
        "scale": found.factors["attention_scale"],
        "clip": _scale(found, "attention_clip", None),
        "softcap": _scale(found, "attention_softcap", None),
        "window": _window(found, measures),
        "sinks": measures.sinks,
        "gate": measures.attention_gate,
        "gate_per": measures.gate_per,
        "inner_norm": measures.attention_inner_norm,
    }


def _heads(trials: Trials, found: FieldMap) -> str:
    if "num_kv_heads" in found.sizes:
        return "grouped"
    known = [t.measures for t in trials.examined if t.measures is not None and _only_sizes(found, t.changes)]
    if all(m.num_kv_heads == m.num_heads for m in known):
        return "multi"
    if all(m.num_kv_heads == 1 for m in known):
        return "single"
    raise UnresolvedError("key heads", f"{known[0].num_kv_heads} of {known[0].num_heads}, and no field says so")


def _head_dim(trials: Trials, found: FieldMap) -> str:
    if "head_dim" in found.sizes:
        return "free"
    known = [t.measures for t in trials.examined if t.measures is not None and _only_sizes(found, t.changes)]
    if all(m.head_dim == m.hidden_dim // m.num_heads for m in known):
        return "derived"
    raise UnresolvedError("width of a head", f"{known[0].head_dim}, neither a field nor hidden_dim / num_heads")


def _only_sizes(found: FieldMap, changes: Mapping[str, Any]) -> bool:
    return set(changes) <= {*found.sizes.values(), *found.derived}


def _window(found: FieldMap, measures: Measures) -> str:
    if "layer_types" in found.lists:
        return "by_layer"
    if "attention_types" in found.lists:
        return "by_run"
    if not any(measures.windowed):
        return "none"
    if not all(measures.windowed):
        raise UnresolvedError("which layers have a window", f"{measures.windowed}: as no field of the config says")
    if "sliding_window" not in found.sizes:
        raise UnresolvedError("window", f"{measures.window} positions, and no field says so")
    return "every"


def _mlp(trials: Trials, found: FieldMap, measures: Measures, inside: Inside) -> dict[str, Any]:
    mlp: dict[str, Any] = {
        "kind": measures.mlp_kind,
        "projections": measures.mlp_projections,
        "transposed": measures.mlp_transposed,
        "bias": found.switches.get("mlp_bias", measures.mlp_bias),
        "joint_width": found.joint_width,
        "inner_norm": measures.mlp_inner_norm,
    }
    # Where gates are cut to a limit no expert has one.
    if found.activation is None and measures.activation and "activation" not in inside.parts:
        mlp["activation"] = _always("activation", measures.activation)
    if "mlp_multiple" in found.sizes:
        mlp["multiple"] = "mlp_multiple"
    elif "intermediate_dim" not in found.sizes and measures.intermediate_dim is not None:
        sizes = [t.measures for t in trials.examined if t.measures is not None and _only_sizes(found, t.changes)]
        multiples = {m.intermediate_dim / m.hidden_dim for m in sizes if m.intermediate_dim is not None}
        if len(multiples) != 1:
            raise UnresolvedError("width of the MLP", f"{sizes[0].intermediate_dim}, and no field says so")
        multiple = multiples.pop()
        mlp["multiple"] = int(multiple) if multiple == int(multiple) else multiple
    return mlp


def _head_transform(found: FieldMap, measures: Measures) -> dict[str, Any]:
    if not measures.head_transform:
        return {}
    transform: dict[str, Any] = {
        "kind": "dense",
        "bias": found.switches.get("transform_bias", measures.transform_bias),
        "norm": measures.transform_norm,
    }
    if found.transform_activation is None:
        transform["activation"] = _always("activation before the head", measures.transform_activation)
    return transform


def _always(question: str, names: tuple[str, ...]) -> str:
    """The name, of those of one function, by which a card calls an activation that no field of the config sets."""
    known: list[str] = [name for name in get_args(Activation) if name in names]
    if not known:
        raise UnresolvedError(question, f"{names}, and no field of the config says so")
    return known[-1]


def _scale(found: FieldMap, name: str, neutral: float | None) -> Any:
    """A factor for a card: None where it is neutral."""
    factor = found.factors.get(name)
    if factor is None or isinstance(factor, str):
        return factor if factor is None else _own_name(factor)
    if neutral is not None and alike(float(factor), neutral):
        return None
    return float(f"{factor:.7g}")  # as far as an experiment resolves it
