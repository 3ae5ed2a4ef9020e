"""What do experts count as whose group isn't kept: are they never chosen, or as if their score were 0?

Biases for the choice tell: with these so low that scores lie on both sides of 0, what counts as 0 is better than some
that are kept. Which of several that count as 0 is chosen nobody can say; which of those that are kept are is compared.
"""

from dataclasses import replace
from typing import Any

from levgen.survey.evidence import Evidence, choose
from levgen.survey.mixture.bank import Bank
from levgen.survey.mixture.experts import Experts
from levgen.survey.mixture.router import ABSENT, OTHER_GROUPS, Router, clear
from levgen.survey.observe.shapes import LENGTH, random_like

_QUESTION = "experts of groups that aren't kept"
# The bias of all experts: scores lie between 0 and 1, and most of them below that.
_BIAS = -0.9
# How near to 0, or to each other, scores may be that were computed in fp32.
_NEAR = 1e-5


def find_other_groups(bank: Bank, experts: Experts, router: Router) -> tuple[Router, list[Evidence]]:
    """`router` with the answer, and what that rests on; as it is where nothing tells: no score is ever below 0.

    Raises UnresolvedError where neither is what was seen.
    """
    import torch

    if router.groups[0] == 1 or router.correction is None:
        return replace(router, other_groups="never"), []
    x = random_like(bank.call.input.reshape(LENGTH, -1).double(), seed=15)
    bias = bank.others[router.correction]
    before = bias.clone()
    with torch.no_grad():
        bias.fill_(_BIAS)
        try:
            seen = experts.weights(bank, x).abs()
            found = {answer: _chosen(bank, replace(router, other_groups=answer), x) for answer in OTHER_GROUPS}
        finally:
            bias.copy_(before)
    present = seen > ABSENT * seen.max()
    errors = {answer: float((present != chosen)[known].double().mean()) for answer, (chosen, known) in found.items()}
    probe = f"which of those that are kept are chosen, for {len(x)} tokens, with all biases at {_BIAS}"
    evidence = choose(_QUESTION, errors, probe, module=bank.module, accept=0.0)
    return replace(router, other_groups=str(evidence.chosen)), [evidence]


def _chosen(bank: Bank, router: Router, x: Any) -> tuple[Any, Any]:
    """(whether an expert is chosen, whether it is kept and nothing was near it), both [n, experts]."""
    import torch

    compared, kept, certain = router.compared(bank, x)
    chosen = torch.zeros_like(kept).scatter(1, compared.topk(router.chosen, dim=-1)[1], True)
    certain &= clear(torch.where(kept, compared, float("-inf")), router.chosen)
    return chosen, kept & certain[:, None] & (compared.abs() > _NEAR)
