"""The findings about latent attention as plain values that can be compared between configs."""

from dataclasses import dataclass, fields
from typing import Any

from levgen.survey.evidence import UnresolvedError
from levgen.survey.observe.leaves import Affine, NormLeaf
from levgen.survey.questions.channels import Roles
from levgen.survey.structure import LayerFindings

_GATE = "gate on what attention puts out"


@dataclass(frozen=True, kw_only=True)
class LatentMeasures:
    """None where keys and values have projections of their own, but for `v_head_dim`; answers are at their defaults."""

    q_lora_rank: int | None = None  # None also where queries are of full rank
    kv_lora_rank: int | None = None
    qk_nope_head_dim: int | None = None
    qk_rope_head_dim: int | None = None
    v_head_dim: int | None = None
    latent_norm_eps: float | None = None
    query_latent: str = "normed"
    gate_in: str = "own"


LATENT = tuple(field.name for field in fields(LatentMeasures))


def measure_latent(layer: LayerFindings) -> dict[str, Any]:
    """The measures of one layer's attention, by name. Raises UnresolvedError where a map up has a bias."""
    roles, leaves = layer.roles, layer.anatomy.leaves
    latent, gate = roles.latent, layer.gate
    if latent is None:
        if gate is not None and gate.columns is not None:
            raise UnresolvedError(_GATE, f"it is {len(gate.columns)} columns of {gate.leaf}: known of latent attention")
        return {}
    biased = [name for name in maps_up(roles) if (leaf := leaves[name]) and isinstance(leaf, Affine) and leaf.bias]
    if biased:
        raise UnresolvedError("a bias of latent attention", f"{biased} have one: known are those of maps down")
    norms = [leaves[name] for name in latent_norms(roles)]
    epsilons = [norm.eps for norm in norms if isinstance(norm, NormLeaf)]
    if max(epsilons) > 1.001 * min(epsilons):
        raise UnresolvedError("norms of latent attention", f"their epsilons differ: {epsilons}")
    return {
        "q_lora_rank": None if latent.queries is None else len(latent.queries.columns),
        "kv_lora_rank": len(latent.keys.columns),
        "qk_nope_head_dim": latent.own,
        "qk_rope_head_dim": latent.shared,
        "v_head_dim": roles.value_dim,
        "latent_norm_eps": epsilons[0],
        "query_latent": "joined" if latent.queries is not None and latent.queries.joined else "normed",
        "gate_in": _gate_in(layer),
    }


def _gate_in(layer: LayerFindings) -> str:
    """own or queries: where the map of a gate lies."""
    gate, roles = layer.gate, layer.roles
    if gate is None or gate.columns is None:
        return "own"
    assert roles.latent is not None
    low, each = roles.latent.queries, roles.head_dim + roles.value_dim
    after = tuple(h * each + at for h in range(roles.heads) for at in range(roles.head_dim, each))
    if low is None or gate.leaf != low.up or gate.columns != after:
        raise UnresolvedError(_GATE, f"columns {gate.columns[:4]} of {gate.leaf}: not each head's after its query")
    return "queries"


def latent_norms(roles: Roles) -> list[str]:
    """The norms over vectors of low rank."""
    if roles.latent is None:
        return []
    return [low.norm for low in (roles.latent.queries, roles.latent.keys) if low is not None]


def maps_up(roles: Roles) -> list[str]:
    """The maps to the heads of latent attention: of queries, of full rank or not, and of keys and values."""
    if roles.latent is None:
        return []
    return [leaf for leaf in roles.core.sources if leaf != roles.latent.keys.down]
