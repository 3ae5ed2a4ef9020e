"""What is the product of a query and a key multiplied by, and does a soft cap bound it?"""

import math
from typing import Any

from levgen.survey.evidence import Evidence, choose
from levgen.survey.observe.bench import Bench
from levgen.survey.observe.shapes import LENGTH

# By what a query or a key grows, until its probability is as good as 0; so many of them are tried at once.
_AMPLITUDES = tuple(0.5 * 2.0**n for n in range(18))
_AT_ONCE = 6


def find_scale_and_cap(bench: Bench, bias: Any, evidence: list[Evidence]) -> tuple[float, float | None]:
    """Scale at distance 0 and soft cap: the score of one key, at growing amplitudes, always negative."""
    seen = [*_sweep(bench, bias, keys=False), *_sweep(bench, bias, keys=True)]
    seen.sort()
    slopes = [score / a for a, score in seen]
    if slopes[0] <= 1e-6:
        raise bench.unresolved("scale", f"scores {seen[:3]} at queries along a key")
    probe = f"a key at distance 0 at amplitudes 0.5 to {seen[-1][0]:g}"
    linear = max(abs(s / slopes[-1] - 1) for s in slopes)
    # 1e-4: below an amplitude of 1, probabilities in fp32 leave 1e-6 of a score.
    if linear < 1e-4:
        evidence.append(Evidence("soft cap of scores", None, linear, "tanh", None, probe))
        return slopes[-1], None
    cap = seen[-1][1]
    low = next(pair for pair in seen if pair[0] >= 2 * seen[0][0])
    for _ in range(200):  # fixed point of cap * tanh(slope * a / cap) = score, from the largest amplitude
        slope = _uncapped(low[1], cap) / low[0]
        cap = seen[-1][1] / math.tanh(slope * seen[-1][0] / cap)
    error = max(abs(cap * math.tanh(slope * a / cap) / score - 1) for a, score in seen)
    evidence.append(
        choose("soft cap of scores", {f"{cap:.6g}": error, "none": linear}, probe, module=bench.module, accept=1e-4)
    )
    return slope, float(f"{cap:.6g}")


def _sweep(bench: Bench, bias: Any, *, keys: bool) -> list[tuple[float, float]]:
    """(amplitude, minus the score) of one key at distance 0: queries grow, or keys do. Amplitudes as far as no clip."""
    # The first from the middle on that sees the key before it.
    at = next((t for t in range(LENGTH // 2, LENGTH) if bool(bench.visible[t, t - 1])), LENGTH // 2)
    other = at - 1
    unit = bench.unit

    def case(amplitude: float) -> tuple[Any, Any]:
        q, k = bench.even()
        q[:, :, 0] = unit if keys else amplitude
        k[at, :, 0] = -(amplitude if keys else unit)
        return q, k

    parts = [_AMPLITUDES[start : start + _AT_ONCE] for start in range(0, len(_AMPLITUDES), _AT_ONCE)]
    tried = (
        (a, p) for part in parts for a, p in zip(part, bench.probabilities_of_each([*map(case, part)]), strict=True)
    )
    seen: list[tuple[float, float]] = []
    for amplitude, p in tried:
        if float(p[:, at, at].min()) < 1e-30:
            break
        score = p[:, at, at].log() - p[:, at, other].log() + (0.0 if bias is None else bias[:, at, other])
        if float((score - score[0]).abs().max()) > 1e-5 * float(score.abs().max()):
            raise bench.unresolved("scale", f"it differs by head: {score.tolist()} at amplitude {amplitude}")
        seen.append((unit * bench.clipped(amplitude), float(-score[0])))
    return seen


def _uncapped(score: float, cap: float) -> float:
    return cap * math.atanh(min(score / cap, 1 - 1e-12))
