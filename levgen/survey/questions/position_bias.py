"""Is something added to a score that depends on positions alone?"""

import math
from typing import Any

from levgen.survey.evidence import Evidence, choose, relative
from levgen.survey.observe.bench import Bench


def find_position_bias(bench: Bench, evidence: list[Evidence]) -> Any:
    """The bias [heads, T, T] on scores when queries are zero: None, or ALiBi's."""
    import torch

    p = bench.probabilities(*bench.even())
    if bool((p[:, bench.visible] == 0).any()):
        raise bench.unresolved("mask", "some positions that values reach have probability 0 at queries of zero")
    bias = torch.where(bench.visible, p.clamp_min(1e-300).log(), torch.zeros_like(p))
    bias = torch.where(bench.visible, bias - bias.diagonal(dim1=1, dim2=2)[:, :, None], torch.zeros_like(p))
    size = float(bias.abs().max())
    alibi = alibi_bias(bench)
    errors = {"none": size, "alibi": relative(alibi, bias) if size > 1e-5 else 1.0}
    found = choose("bias of a score by position", errors, "probabilities at queries of zero", module=bench.module)
    evidence.append(found)
    return alibi if found.chosen == "alibi" else None


def alibi_bias(bench: Bench) -> Any:
    """[heads, T, T]: ALiBi's bias on scores."""
    import torch

    slopes = _alibi_slopes(bench.roles.heads)[:, None, None]
    return torch.where(bench.visible, -slopes * bench.distance, 0.0)


def _alibi_slopes(heads: int) -> Any:
    """Slope of each head: https://arxiv.org/abs/2108.12409."""
    import torch

    power = 2 ** math.floor(math.log2(heads))
    slopes = [2 ** (-8 * (i + 1) / power) for i in range(power)]
    slopes += [2 ** (-4 * (2 * i + 1) / power) for i in range(heads - power)]
    return torch.tensor(slopes, dtype=torch.float64)
