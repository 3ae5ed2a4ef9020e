"""The answers of a card, group by group: norm, positions, attention, MLP and what comes before the head."""

from collections.abc import Mapping
from typing import Any, get_args

from levgen.architecture.channels import Activation
from levgen.survey.assembly.names import own_name
from levgen.survey.assembly.rotation import scales_queries
from levgen.survey.config.field_map import FieldMap
from levgen.survey.config.indexer_measures import indexer_answers
from levgen.survey.config.measures import Measures, alike
from levgen.survey.config.norm_gate_measures import gated_layers
from levgen.survey.config.trials import Trials
from levgen.survey.evidence import UnresolvedError
from levgen.survey.unknown.inside import Inside


def norm_of(found: FieldMap, measures: Measures) -> dict[str, Any]:
    """The answers about all norms."""
    eps = found.factors["norm_eps"]
    return {
        "kind": measures.norm_kind,
        "weight": measures.norm_weight,
        "offset": measures.norm_offset,
        "bias": measures.norm_bias,
        "eps": "norm_eps" if isinstance(eps, str) else eps,
    }


def norm_gate_of(trials: Trials, measures: Measures) -> dict[str, Any]:
    """The answers about gates on norms of layers."""
    if not measures.norm_gate_activation:
        return {}
    shown = [trial.measures for trial in trials.examined if trial.measures is not None]
    return {
        "attention": gated_layers("attention_norm", shown),
        "mlp": gated_layers("mlp_norm", shown),
        "activation": _always("activation in a norm's gate", measures.norm_gate_activation),
    }


def positions_of(
    trials: Trials, found: FieldMap, measures: Measures, hyperparameters: Mapping[str, Any]
) -> dict[str, Any]:
    """The answers about positions. Raises UnresolvedError where it is not found which layers rotate."""
    if scales_queries(trials, found) and found.rope is None:
        raise UnresolvedError("scale of queries by position", "it follows no parameters of a rotation")
    positions: dict[str, Any] = {"kind": measures.position_kind, "offset": measures.position_offset}
    if measures.position_table is not None:
        positions["table"] = measures.position_table
    positions |= _temperature(trials, found, measures)
    if measures.position_kind != "rotary":
        return positions
    positions["layout"] = measures.layout
    if measures.backwards:
        positions["backwards"] = True
    if scales_queries(trials, found):
        positions["query_scaling"] = True
    if measures.growth_length is not None:
        positions |= {name: scale(found, name, None) for name in ("growth_length", "growth_exponent")}
    if "rope" not in hyperparameters:
        positions["rotary_dim"] = "rotary_dim"
    # Where every layer of the tiny config has a window, the list shows it that was altered.
    by_window = trials.of(found.lists["layer_types"]) if "layer_types" in found.lists else []
    shown = [measures, *(trial.measures for trial in by_window if trial.measures is not None)]
    if not all(all(one.rotating) for one in shown):
        if "rope_layers" in found.lists:
            positions["layers"] = "listed"
        elif by_window and all(one.rotating == one.windowed for one in shown):
            positions["layers"] = "windowed"
        elif by_window and all(one.rotating == _windowed_or_dense(one) for one in shown):
            positions["layers"] = "windowed_or_dense"
        elif "layer_thetas" not in found.lists:
            raise UnresolvedError("which layers rotate", f"{measures.rotating}: as no field of the config says")
    if "layer_thetas" in found.lists:
        positions["layers"] = "by_theta"
    if found.local_rope is not None:
        positions["local_rope"] = True
    return positions


def _with_lists(trials: Trials, found: FieldMap, measures: Measures) -> list[Measures]:
    """`measures`, and those of configs in which a list by layer was altered."""
    altered = [trial for hf in found.lists.values() for trial in trials.of(hf)]
    return [measures, *(trial.measures for trial in altered if trial.measures is not None)]


def _temperature(trials: Trials, found: FieldMap, measures: Measures) -> dict[str, Any]:
    """In which layers queries grow as two fields say; nothing where no such fields are known."""
    if "temperature_span" not in found.sizes:
        return {}
    shown = [one for one in _with_lists(trials, found, measures) if one.has_temperature]
    if all(all(one.tempered) for one in shown):
        answer = "every"
    elif all(all(a != b for a, b in zip(one.tempered, one.rotating, strict=True)) for one in shown):
        answer = "unturned"
    else:
        observed = f"{measures.tempered}, and those that rotate are {measures.rotating}"
        raise UnresolvedError("in which layers queries grow", observed)
    return {"temperature": answer, "temperature_switch": found.switches.get("has_temperature", True)}


def _norms(trials: Trials, found: FieldMap, measures: Measures) -> dict[str, Any]:
    """The answers about norms of queries and keys. Raises UnresolvedError where it is not found which layers have."""
    made: dict[str, Any] = {"qk_norm": measures.qk_norm, "norm_after_rotation": measures.norm_after_rotation}
    shown = [one for one in _with_lists(trials, found, measures) if one.has_qk_norm]
    if measures.qk_norm == "none":
        return made
    if not all(all(one.normed) for one in shown):
        if not all(one.normed == one.rotating for one in shown):
            observed = f"{measures.normed}, and those that rotate are {measures.rotating}"
            raise UnresolvedError("which layers have a norm of queries and keys", observed)
        made["qk_norm_layers"] = "rotating"
    switch = found.switches.get("has_qk_norm", True)
    return {**made, "qk_norm_weight": measures.qk_norm_weight, "qk_norm_switch": switch}


def _windowed_or_dense(measures: Measures) -> tuple[bool, ...]:
    """Of each layer that was examined, whether it has a window, or no experts."""
    layers = zip(measures.windowed, measures.sparse, strict=True)
    return tuple(windowed or not sparse for windowed, sparse in layers)


def attention_of(trials: Trials, found: FieldMap, measures: Measures) -> dict[str, Any]:
    """The answers about attention. Raises UnresolvedError where heads or windows follow no field."""
    latent = {}
    if measures.latent:
        eps = found.factors["latent_norm_eps"]
        latent = {"heads": "latent", "head_dim": "free"}
        latent |= {} if eps == found.factors["norm_eps"] else {"latent_norm_eps": eps}
        latent |= {"query_latent": measures.query_latent, "gate_in": measures.gate_in}
        latent |= indexer_answers(measures, found.factors.get("indexer_norm_eps"))
        if "indexer_types" in found.lists:
            latent["indexer"] = "listed"
        elif False in measures.indexed:
            raise UnresolvedError("which layers choose keys", f"{measures.indexed}: as no field of the config says")
    return {
        **(latent or _usual_heads(trials, found, measures)),
        "projections": measures.projections,
        "transposed": measures.attention_transposed,
        "bias": found.switches.get("attention_bias", measures.attention_bias),
        "output_bias": found.switches.get("output_bias", measures.output_bias),
        **_norms(trials, found, measures),
        "scale": found.factors["attention_scale"],
        "clip": scale(found, "attention_clip", None),
        "value_scale": scale(found, "value_scale", 1.0),
        "softcap": scale(found, "attention_softcap", None),
        "window": _window(found, measures),
        "local": "window" if measures.chunk is None else "chunk",
        "sinks": measures.sinks,
        "gate": measures.attention_gate,
        "gate_per": measures.gate_per,
        "gate_bias": measures.gate_bias,
        "inner_norm": measures.attention_inner_norm,
    }


def _usual_heads(trials: Trials, found: FieldMap, measures: Measures) -> dict[str, Any]:
    """The answers about heads whose keys and values have projections of their own."""
    widths = {"head_dim": _head_dim(trials, found), "value_dim": _value_dim(trials, found)}
    return {"heads": _heads(trials, found), **widths, **_of_windows(trials, measures)}


def _of_windows(trials: Trials, measures: Measures) -> dict[str, Any]:
    """What layers with a window have that others haven't. Raises UnresolvedError where no answer says what."""
    known = [trial.measures for trial in trials.examined if trial.measures is not None]
    multiples = {m.local_kv_multiple for m in known} - {None}
    sizes = {m.num_kv_heads for m in known if m.local_kv_multiple is not None}
    (multiple,) = multiples if len(multiples) == 1 else (None,)
    if multiples and (multiple is None or multiple != int(multiple) or (multiple != 1 and len(sizes) == 1)):
        seen = f"{sorted(m for m in multiples if m is not None)} times as many at {sorted(sizes)}"
        raise UnresolvedError("key heads of layers with a window", seen)
    answers: dict[str, Any] = {}
    if not all(all(m.sunk) or not any(m.sunk) for m in known):
        if any(m.sunk != m.windowed for m in known):
            raise UnresolvedError("which layers have sinks", f"{measures.sunk}: as no field of the config says")
        answers["sinks_in"] = "windowed"
    return answers | ({"local_kv_multiple": int(multiple)} if multiple is not None else {})


def _value_dim(trials: Trials, found: FieldMap) -> str:
    """How wide values are. Raises UnresolvedError where their width follows no field."""
    if "v_head_dim" in found.sizes:
        return "free"
    known = [trial.measures for trial in trials.examined if trial.measures is not None]
    if any(m.v_head_dim != m.head_dim for m in known):
        raise UnresolvedError("width of values", f"{known[0].v_head_dim}, and no field says so")
    return "head_dim"


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
    if not {"sliding_window", "chunk_size"} & found.sizes.keys():
        raise UnresolvedError("window", f"{measures.window or measures.chunk} positions, and no field says so")
    return "every"


def mixer_type(trials: Trials, found: FieldMap, measures: Measures) -> str:
    """What the list of layers calls those with something else in the place of attention; none where there are none.

    Raises UnresolvedError where no list says which they are, or where they are of several types.
    """
    if not any(measures.mixer):
        return "none"
    if "mixer_types" not in found.lists:
        raise UnresolvedError("which layers have attention", f"{measures.mixer}: as no list by layer says")
    hf = found.lists["mixer_types"]
    kinds = {entry for values in (trials.fields, trials.base.values) for entry in values[hf]} - {"full_attention"}
    if len(kinds) != 1:
        raise UnresolvedError("which layers have attention", f"{hf} has others of {len(kinds)} types: {sorted(kinds)}")
    return str(kinds.pop())


def mlp_of(trials: Trials, found: FieldMap, measures: Measures, inside: Inside) -> dict[str, Any]:
    """The answers about the MLP. Raises UnresolvedError where its width follows no field."""
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


def sums_of(trials: Trials) -> str:
    """Whether sums are averaged. Raises UnresolvedError where they are, and not over all blocks from the first on."""
    known = [trial.measures.terms for trial in trials.examined if trial.measures is not None]
    if all(terms is None for one in known for terms in one):
        return "plain"
    odd = [one for one in known if one != tuple(range(1, 2 * len(one), 2))]
    if odd:
        raise UnresolvedError("sums of a layer", f"averaged over {odd[0]} terms before each, not 1, 3, 5, ...")
    return "averaged"


def head_transform_of(found: FieldMap, measures: Measures) -> dict[str, Any]:
    """The answers about what comes between the last norm and the head."""
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


def scale(found: FieldMap, name: str, neutral: float | None) -> Any:
    """A factor for a card: None where it is neutral."""
    factor = found.factors.get(name)
    if factor is None or isinstance(factor, str):
        return factor if factor is None else own_name(factor)
    if neutral is not None and alike(float(factor), neutral):
        return None
    return float(f"{factor:.7g}")  # as far as an experiment resolves it
