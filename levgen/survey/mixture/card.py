"""The answers about a mixture of experts, as a card writes them."""

from collections.abc import Sequence
from typing import Any

from levgen.survey.config.field_map import FieldMap, field_of
from levgen.survey.config.measures import Measures
from levgen.survey.config.trials import Trials
from levgen.survey.evidence import UnresolvedError
from levgen.survey.mixture.balance import Balance
from levgen.survey.mixture.names import MixtureNames, mixture_names
from levgen.survey.mixture.whole import Mixture
from levgen.survey.structure import Structure

# Factors that are hyperparameters with names of their own, and no answers.
NUMBERS = ("router_jitter", "swiglu_alpha", "swiglu_limit")
_QUESTION = "which layers have experts"


def first_mixture(structure: Structure) -> tuple[str, Mixture] | None:
    """(name of the layer, its mixture) of the first layer with experts; None where there is none."""
    for index, layer in enumerate(structure.layers):
        if isinstance(layer.block, Mixture):
            return f"{structure.chain.name}.{index}", layer.block
    return None


def find_mixture_names(structure: Structure) -> MixtureNames | None:
    """Names in a checkpoint; None where no layer has experts."""
    first = first_mixture(structure)
    return None if first is None else mixture_names(structure.model, *first)


def moe_answers(
    found: FieldMap,
    measures: Measures,
    others: Sequence[Measures],
    names: MixtureNames,
    balance: Balance | None,
    scale: Any,
    norm_order: Any,
) -> dict[str, Any]:
    """The group `moe`; what is no hyperparameter under these answers is taken out of `found.sizes`.

    `others`: of all configs that were examined. `scale`, `norm_order`: as a card writes them.

    Raises UnresolvedError where no answer says what was measured.
    """
    if not measures.gate_first:
        raise UnresolvedError("order of gate and up", "up comes before gate in the tensors of experts")
    layers = _layers(found, measures)
    if layers != "after":
        found.sizes.pop("num_dense_layers", None)
    groups = {"num_expert_groups", "num_kept_groups"} <= found.sizes.keys()
    if not groups:
        for name in ("num_expert_groups", "num_kept_groups"):
            found.sizes.pop(name, None)
        if measures.num_expert_groups is not None:
            raise UnresolvedError("groups of experts", f"{measures.num_expert_groups}, and no field says so")
    needed = ["expert_dim", "num_experts", "num_experts_per_tok"]
    if measures.scores == "sparse_mixer":  # it chooses two, whatever a field says
        found.sizes.pop(needed.pop(), None)
    for name in needed:
        if name not in found.sizes:
            raise UnresolvedError("sizes of experts", f"{name} is {getattr(measures, name)}, and no field says so")
    for name in NUMBERS:
        value = getattr(measures, name)
        if value is not None and field_of(found.factors[name]) != found.factors[name]:
            raise UnresolvedError("numbers of a mixture", f"{name} is {value}, and no field says so")
    answers: dict[str, Any] = {
        "layers": layers,
        "scores": measures.scores,
        "router_bias": measures.router_bias,
        "correction": measures.correction,
        "correction_of": measures.correction_of,
        "correction_stored": measures.correction_stored,
        "groups": groups,
        "other_groups": measures.other_groups,
        "normalized": found.switches.get("moe_normalized", measures.moe_normalized),
        "norm_order": norm_order,
        "scale": scale,
        "weighs": measures.moe_weighs,
        "stored": names.stored,
        "transposed": measures.experts_transposed,
        "interleaved": measures.experts_interleaved,
        "bias": measures.expert_bias,
        "gating": "clamped" if measures.swiglu_limit is not None else "activation",
        "shared": measures.shared,
        "shared_beside": measures.shared_beside,
        "balance": balance is not None,
    }
    return answers | _shared(found, measures, others)


def shared_may_be_absent(trials: Trials, found: FieldMap) -> bool:
    """Whether a width of 0 says that there is no MLP beside the experts."""
    base, hf = trials.base.measures, found.sizes.get("shared_expert_dim")
    if base is None or not base.shared_beside or hf is None:
        return False
    trial = trials.attempt({hf: 0})
    return trial is not None and trial.measures is not None and trial.measures.shared == "none"


def _layers(found: FieldMap, measures: Measures) -> str:
    if "mlp_layer_types" in found.lists:
        return "listed"
    if "dense_layers" in found.lists:
        return "stepped"
    if "sparse_layers" in found.lists:
        return "numbered"
    if "num_dense_layers" in found.sizes:
        return "after"
    if all(measures.sparse):
        return "every"
    raise UnresolvedError(_QUESTION, f"{measures.sparse}: as no field of the config says")


def _shared(found: FieldMap, measures: Measures, others: Sequence[Measures]) -> dict[str, Any]:
    """Where the width of the shared expert comes from."""
    if "shared_expert_dim" in found.sizes or measures.shared == "none":
        found.sizes.pop("num_shared_experts", None)
        return {}
    if "num_shared_experts" in found.sizes:
        return {"shared_multiple": "num_shared_experts"}
    multiples = {m.num_shared_experts for m in others if m.shared != "none"}
    if len({m.expert_dim for m in others if m.shared != "none"}) > 1 and len(multiples) == 1:
        (multiple,) = multiples
        if multiple is not None and multiple == int(multiple):
            return {"shared_multiple": int(multiple)}
    raise UnresolvedError("width of the shared expert", f"{measures.shared_expert_dim}, and no field says so")
