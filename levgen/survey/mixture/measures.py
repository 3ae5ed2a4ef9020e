"""The findings about layers with experts as plain values that can be compared between configs."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from levgen.survey.evidence import UnresolvedError
from levgen.survey.mixture.whole import Mixture
from levgen.survey.questions.activation import ChannelBlock


@dataclass(frozen=True, kw_only=True)
class MixtureMeasures:
    """Where no layer has experts all is as it is here. `sparse`: of each layer, whether it has."""

    expert_dim: int | None = None
    num_experts: int | None = None
    num_experts_per_tok: int | None = None
    num_expert_groups: int | None = None  # None also where there is one, or where all of them are kept
    num_kept_groups: int | None = None
    num_dense_layers: int | None = None  # that come first; None where layers with and without experts come in turn
    shared_expert_dim: int | None = None
    num_shared_experts: float | None = None  # the same over the width of an expert
    moe_scale: float | None = None
    moe_weighs: str = "output"
    router_jitter: float | None = None
    moe_normalized: bool | None = None
    moe_norm_order: float | None = None  # None also where the weights are divided by their sum
    scores: str | None = None
    router_bias: bool = False
    correction: bool = False
    correction_of: str = "scores"
    correction_stored: str = "vector"
    other_groups: str = "never"
    expert_bias: bool = False
    experts_transposed: bool = False
    experts_interleaved: bool = False
    gate_first: bool = True
    swiglu_alpha: float | None = None  # None where gates aren't cut to a limit
    swiglu_limit: float | None = None
    shared: str = "none"
    shared_beside: bool = False  # what is shared is no part of the mixture
    moe_output_norm: bool = False  # a norm after all that the experts and what is shared give
    sparse: tuple[bool, ...] = ()


MIXTURE = tuple(field.name for field in fields(MixtureMeasures))


def measure_mixture(mixture: Mixture, beside: ChannelBlock | None) -> dict[str, Any]:
    """The measures of one layer's mixture, by name. `beside`: an MLP that is added to what it gives.

    Raises UnresolvedError where tokens share two things.
    """
    expert, router, shared = mixture.experts.expert, mixture.router, mixture.shared
    if shared is not None and beside is not None:
        raise UnresolvedError("what every token gets", f"{shared} in the mixture, and an MLP beside it")
    width = beside.width if beside is not None else None if shared is None else shared.width
    clamped = mixture.experts.clamped
    return {
        "expert_dim": expert.width,
        "num_experts": mixture.bank.count,
        "num_experts_per_tok": router.chosen,
        "num_expert_groups": router.groups[0] if router.groups[0] > 1 else None,
        "num_kept_groups": router.groups[1] if router.groups[0] > 1 else None,
        "shared_expert_dim": width,
        "num_shared_experts": None if width is None else width / expert.width,
        "moe_scale": router.scale,
        "moe_weighs": mixture.experts.weighs,
        "router_jitter": router.jitter,
        "moe_normalized": router.normalized,
        "moe_norm_order": router.order if router.normalized and router.order != 1 else None,
        "scores": router.scores,
        "router_bias": router.bias is not None,
        "correction": router.correction is not None,
        "correction_of": router.correction_of,
        "correction_stored": _stored(mixture),
        "other_groups": router.other_groups or "never",
        "expert_bias": bool(expert.biases),
        "experts_transposed": expert.transposed,
        "experts_interleaved": expert.interleaved,
        "gate_first": expert.gate_first,
        "swiglu_alpha": None if clamped is None else clamped.alpha,
        "swiglu_limit": None if clamped is None else clamped.limit,
        "shared": "none" if width is None else "plain" if shared is None or shared.through is None else "gated",
        "shared_beside": beside is not None,
        "moe_output_norm": mixture.bank.norm is not None,
        "sparse": (True,),
    }


def _stored(mixture: Mixture) -> str:
    """How the bias that only chooses lies: as a vector, or as a row."""
    correction = mixture.router.correction
    shape = [] if correction is None else list(mixture.bank.others[correction].shape)
    if len(shape) < 2:
        return "vector"
    if shape != [1, mixture.bank.count]:
        raise UnresolvedError("how a router weighs experts", f"{correction} has the shape {shape}")
    return "row"


def dense_layers(sparse: Sequence[bool]) -> int | None:
    """How many layers without experts come before all others; None where that is not how they lie."""
    count = sum(not one for one in sparse)
    return count if any(sparse) and all(sparse[count:]) else None
