"""The findings about gates on a layer's norms as plain values that can be compared between configs."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from levgen.survey.evidence import UnresolvedError
from levgen.survey.observe.leaves import NormGate, NormLeaf
from levgen.survey.structure import LayerFindings

_QUESTION = "gates on norms"
# Roles of norms that may have one.
_ROLES = ("attention_norm", "mlp_norm")


@dataclass(frozen=True, kw_only=True)
class NormGateMeasures:
    """`norm_gates`: of each layer, the roles of the norms that have a gate."""

    norm_gate_rank: int | None = None
    norm_gate_activation: tuple[str, ...] = ()
    norm_gates: tuple[tuple[str, ...], ...] = ((),)


NORM_GATES = tuple(field.name for field in fields(NormGateMeasures))


def measure_norm_gates(layer: LayerFindings) -> dict[str, Any]:
    """The measures of one layer's gates on norms, by name. Raises UnresolvedError where they are unlike each other."""
    gates = _gates(layer)
    if not gates:
        return {}
    first = next(iter(gates.values()))
    return {
        "norm_gate_rank": first.width,
        "norm_gate_activation": first.activations,
        "norm_gates": (tuple(role for role in _ROLES if role in gates),),
    }


def norm_gate_names(layer: LayerFindings) -> dict[str, str | None]:
    """Role -> module, by its name in a norm with a gate; nothing where there is none."""
    first = next(iter(_gates(layer).values()), None)
    return {} if first is None else {"norm": first.norm, "down": first.down, "up": first.up}


def _gates(layer: LayerFindings) -> dict[str, NormGate]:
    """Role of a norm in a layer -> its gate."""
    roles = {leaf: role for role, leaf in layer.dataflow.norm_roles.items()}
    leaves = layer.anatomy.leaves.items()
    gates = {roles.get(name, name): leaf.gate for name, leaf in leaves if isinstance(leaf, NormLeaf) and leaf.gate}
    elsewhere = sorted(gates.keys() - set(_ROLES))
    if elsewhere:
        raise UnresolvedError(_QUESTION, f"{elsewhere} have one: known are those of norms before a block")
    forms = {(gate.norm, gate.down, gate.up, gate.width, gate.activations) for gate in gates.values()}
    if len(forms) > 1:
        raise UnresolvedError(_QUESTION, f"they differ: {sorted(forms)}")
    return gates


def gated_layers(role: str, shown: Sequence[Any]) -> str:
    """In which layers the norm `role` has a gate: none, every or sparse. `shown`: measures of all that was examined.

    Raises UnresolvedError where no answer says which.
    """
    layers = [
        (role in gates, sparse)
        for one in shown
        for gates, sparse, missing in zip(one.norm_gates, one.sparse, one.missing_norm, strict=True)
        if missing != role
    ]
    if not any(gated for gated, _ in layers):
        return "none"
    if all(gated for gated, _ in layers):
        return "every"
    if role != "mlp_norm" or any(gated != sparse for gated, sparse in layers):
        raise UnresolvedError(_QUESTION, f"{role} has one in {[gated for gated, _ in layers]}: as no answer says")
    return "sparse"
