"""Are queries multiplied by something that depends on where they stand?"""

from typing import Any

from levgen.survey.evidence import Evidence
from levgen.survey.observe.bench import Bench
from levgen.survey.observe.shapes import LENGTH

# A score of about 1 in fp32 islands is exact to about 1e-6.
_SAME = 1e-4


def find_query_scaling(bench: Bench, bias: Any, evidence: list[Evidence]) -> Any:
    """[T]: what a query's scores are multiplied by at each position, 1 at position 1; None where they are alike.

    Where a query sees one key only, as at position 0, nothing tells: it is taken to be as the next position that sees
    two.
    """
    score = scores_by_position(bench, bias)
    told = [t for t in range(1, LENGTH) if bool(bench.visible[t, t - 1])]
    if not told or not float(score[told].abs().min()) > 0:
        return None  # the questions about the scale say what is wrong
    for t in set(range(LENGTH)) - set(told):
        score[t] = score[min((other for other in told if other > t), default=told[-1])]
    scaling = score / score[told[0]]
    spread = float((scaling - 1).abs().max())
    chosen = None if spread <= _SAME else [round(float(x), 6) for x in scaling[:: LENGTH // 4]]
    probe = "the score of a key at distance 0, at every position"
    evidence.append(Evidence("scale of queries by position", chosen, spread, probe=probe))
    return None if chosen is None else scaling


def scores_by_position(bench: Bench, bias: Any) -> Any:
    """[T]: the score of a key at distance 0, less that of one of zero before it; 0 where a query sees no key before it.

    A small amplitude, where a soft cap hardly acts: one that does shows alike at every position.

    `bias` [heads, T, T]: what a score has beside the product of query and key.
    """
    import torch

    cases = []
    for parity in (0, 1):  # each key that isn't zero stands after one that is
        q, k = bench.even()
        q[:, :, 0] = bench.unit
        k[parity::2, :, 0] = -bench.unit
        cases.append((q, k))
    found = (p.clamp_min(1e-300).log() for p in bench.probabilities_of_each(cases))
    logarithms = [p if bias is None else p - bias for p in found]
    score = torch.zeros(LENGTH, dtype=torch.float64)
    for t in range(1, LENGTH):
        if bool(bench.visible[t, t - 1]):
            score[t] = (logarithms[t % 2][:, t, t - 1] - logarithms[t % 2][:, t, t]).mean()
    return score
