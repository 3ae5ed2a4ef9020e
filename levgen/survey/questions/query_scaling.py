"""Are queries multiplied by something that depends on where they stand?"""

from typing import Any

from levgen.survey.evidence import Evidence
from levgen.survey.observe.bench import Bench
from levgen.survey.observe.shapes import LENGTH

# A score of about 1 in fp32 islands is exact to about 1e-6.
_SAME = 1e-4


def find_query_scaling(bench: Bench, bias: Any, evidence: list[Evidence]) -> Any:
    """[T]: what a query's scores are multiplied by at each position, 1 at position 1; None where they are alike.

    The score of a key at distance 0 against the key before it, which is zero. Where a query sees one key only, as at
    position 0, nothing tells: it is taken to be as the next position that sees two. A small amplitude, where a soft cap
    hardly acts: one that does shows alike at every position.
    """
    import torch

    sees_two = bench.visible.diagonal(-1)  # of positions 1, 2, ...
    if not bool(sees_two.any()):
        return None
    logarithms = []
    for parity in (0, 1):  # each key that isn't zero stands after one that is
        q, k = bench.even()
        q[:, :, 0] = bench.unit
        k[parity::2, :, 0] = -bench.unit
        p = bench.probabilities(q, k).clamp_min(1e-300).log()
        if bias is not None:
            p = p - bias
        logarithms.append(p)
    score = torch.zeros(LENGTH, dtype=torch.float64)
    told = [t for t in range(1, LENGTH) if bool(sees_two[t - 1])]
    for t in told:
        score[t] = (logarithms[t % 2][:, t, t - 1] - logarithms[t % 2][:, t, t]).mean()
    if not float(score[told].abs().min()) > 0:
        return None  # the questions about the scale say what is wrong
    for t in set(range(LENGTH)) - set(told):
        score[t] = score[min((other for other in told if other > t), default=told[-1])]
    scaling = score / score[told[0]]
    spread = float((scaling - 1).abs().max())
    chosen = None if spread <= _SAME else [round(float(x), 6) for x in scaling[:: LENGTH // 4]]
    probe = "the score of a key at distance 0, at every position"
    evidence.append(Evidence("scale of queries by position", chosen, spread, probe=probe))
    return None if chosen is None else scaling
