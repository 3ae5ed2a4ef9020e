"""A mixture of experts as a whole: its experts, its router, what all tokens share, and whether that is all of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from levgen.reference.record import Call
from levgen.survey.evidence import ACCEPT, Evidence, UnresolvedError, relative
from levgen.survey.mixture.bank import Bank, find_bank
from levgen.survey.mixture.experts import Experts, find_experts
from levgen.survey.mixture.other_groups import find_other_groups
from levgen.survey.mixture.router import Router, find_router
from levgen.survey.mixture.shared import Shared, find_shared
from levgen.survey.observe.shapes import canonical

_WEIGHS = "what a router's weight multiplies"


@dataclass(frozen=True)
class Mixture:
    """A module that sends each token to a few of many experts."""

    bank: Bank
    experts: Experts
    router: Router
    shared: Shared | None
    evidence: tuple[Evidence, ...]

    @property
    def activations(self) -> tuple[str, ...]:
        """Names of the function in its experts, or in the one that all tokens go to; none where there is none."""
        return self.experts.activations or (self.shared.activations if self.shared is not None else ())


def find_mixture(layer: Any, calls: Mapping[str, list[Call]]) -> Mixture | None:
    """The mixture of experts in `layer`; None where it has no experts. `calls`: of the modules in it, by name.

    Raises UnresolvedError where it has experts, and no candidate gives what was recorded.
    """
    bank = find_bank(layer, calls)
    if bank is None:
        return None
    experts, router, found = _weighed(bank)
    router, counted = find_other_groups(bank, experts, router)
    known = {name for name in (router.weight, router.bias, router.correction) if name is not None}
    shared, beside = find_shared(bank, experts.activations, known)
    unused = sorted(bank.others.keys() - known - (shared.tensors if shared is not None else set()))
    if unused:
        raise UnresolvedError("what is in a mixture of experts", f"tensors without a role: {unused}", bank.module)
    whole = _whole(bank, experts, router, shared)
    after = () if bank.norm is None else (bank.norm.leaf.evidence,)
    return Mixture(bank, experts, router, shared, (experts.evidence, *found, *counted, beside, whole, *after))


def _weighed(bank: Bank) -> tuple[Experts, Router, list[Evidence]]:
    """Experts and their router: one that weighs what experts make, else one that weighs what they are given.

    Raises UnresolvedError where neither is all that was seen; it says what is wrong with the first.
    """
    try:
        experts = find_experts(bank)
        router, evidence = find_router(bank, experts)
    except UnresolvedError as error:
        try:
            experts = find_experts(bank, "input")
            router, evidence = find_router(bank, experts)
        except UnresolvedError:
            raise error from None
        observed = f"a weight of what comes out: {error.unknown.observed}"
        weighs = Evidence(_WEIGHS, "what goes into an expert", evidence.error, probe=observed)
        return experts, router, [evidence, weighs]
    return experts, router, [evidence]


def _whole(bank: Bank, experts: Experts, router: Router, shared: Shared | None) -> Evidence:
    """What was recorded in the model, against all of it. Raises UnresolvedError where they differ."""
    question = "a mixture of experts as a whole"
    x, y = canonical(bank.call.input), canonical(bank.call.output)
    weights, clear = router.weights(bank, x)
    made = experts.output(bank, x, router.scale * weights)
    if shared is not None:
        made = made + shared.output(bank, x)
    error = relative(made[clear], y[clear])
    if not error <= ACCEPT:
        raise UnresolvedError(question, f"what was recorded differs by {error:.1e}", bank.module)
    return Evidence(question, "experts, router and what is shared", error, probe="the tensors recorded in the model")
