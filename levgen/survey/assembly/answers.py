"""The answers of a card, group by group: norm, positions, attention, MLP and what comes before the head."""

from collections.abc import Mapping
from typing import Any, get_args

from levgen.architecture.schema import Activation
from levgen.survey.assembly.names import own_name
from levgen.survey.assembly.rotation import scales_queries
from levgen.survey.config.fields import FieldMap
from levgen.survey.config.indexer_measures import indexer_answers
from levgen.survey.config.measures import Measures, alike
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


def positions_of(
    trials: Trials, found: FieldMap, measures: Measures, hyperparameters: Mapping[str, Any]
) -> dict[str, Any]:
    """The answers about positions. Raises UnresolvedError where it is not found which layers rotate."""
    if scales_queries(trials) and found.rope is None:
        raise UnresolvedError("scale of queries by position", "it follows no parameters of a rotation")
    positions: dict[str, Any] = {"kind": measures.position_kind, "offset": measures.position_offset}
    if measures.position_table is not None:
        positions["table"] = measures.position_table
    if measures.position_kind != "rotary":
        return positions
    positions["layout"] = measures.layout
    if measures.backwards:
        positions["backwards"] = True
    if scales_queries(trials):
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


def attention_of(trials: Trials, found: FieldMap, measures: Measures) -> dict[str, Any]:
    """The answers about attention. Raises UnresolvedError where heads or windows follow no field."""
    latent = {}
    if measures.latent:
        eps = found.factors["latent_norm_eps"]
        latent = {"heads": "latent", "head_dim": "free"}
        latent |= {} if eps == found.factors["norm_eps"] else {"latent_norm_eps": eps}
        latent |= indexer_answers(measures, found.factors.get("indexer_norm_eps"))
    return {
        **(latent or {"heads": _heads(trials, found), "head_dim": _head_dim(trials, found)}),
        "projections": measures.projections,
        "transposed": measures.attention_transposed,
        "bias": found.switches.get("attention_bias", measures.attention_bias),
        "output_bias": found.switches.get("output_bias", measures.output_bias),
        "qk_norm": measures.qk_norm,
        "norm_after_rotation": measures.norm_after_rotation,
        "scale": found.factors["attention_scale"],
        "clip": scale(found, "attention_clip", None),
        "softcap": scale(found, "attention_softcap", None),
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
