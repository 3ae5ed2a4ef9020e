"""How much does an expert's input count? Of a weight that multiplies what goes in, from what comes out.

An expert is no linear map: what it makes of a part of a token is no part of what it makes of the token. The weight is
the number by which the token must be multiplied for the expert to give what was seen.
"""

from collections.abc import Callable
from typing import Any

from levgen.survey.evidence import relative

# Where an expert gives less than this part of the largest, it was not chosen.
_ABSENT = 1e-12
_GRID = (-4.0, 2.0, 121)  # logarithms of the weights that are tried first: from, to, how many
_STEPS = 12
_SLOPE = 1e-6  # part of a weight by which it is altered to see what that does


def fit_inputs(seen: Any, make: Callable[[Any, Any], Any]) -> tuple[Any, float]:
    """The weights [T, E] of tokens with which an expert's outputs are nearest to `seen` [E, T, N], and the error.

    `make`: (numbers of tokens [n], a weight for each [n]) -> what the expert makes of these tokens, weighed: [n, N].
    """
    import torch

    experts, tokens, _ = seen.shape
    weights = torch.zeros(experts, tokens, dtype=torch.float64)
    there = seen.abs().amax(dim=-1) > _ABSENT * float(seen.abs().max())
    if not bool(there.any()):
        return weights.T, float("inf")
    grid = torch.logspace(_GRID[0], _GRID[1], _GRID[2], dtype=torch.float64)
    every = torch.arange(tokens).repeat_interleave(len(grid))
    made = make(every, grid.repeat(tokens)).reshape(tokens, len(grid), -1)
    distance = torch.stack([torch.cdist(one[:, None], made)[:, 0] for one in seen])  # [E, T, weights]
    at, token = there.nonzero().T
    wanted, found = seen[at, token], grid[distance[at, token].argmin(dim=-1)]
    for _ in range(_STEPS):
        now = make(token, found)
        slope = (make(token, found * (1 + _SLOPE)) - now) / (found * _SLOPE)[:, None]
        step = ((wanted - now) * slope).sum(-1) / slope.pow(2).sum(-1).clamp_min(1e-300)
        found = (found + step).clamp(found / 2, found * 2)
    weights[at, token] = found
    fitted = torch.zeros_like(seen)
    fitted[at, token] = make(token, found)
    return weights.T, relative(fitted, seen)
