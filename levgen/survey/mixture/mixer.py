"""Are experts chosen one after the other, each weighed against those nearly as good? How near shows as a step."""

from collections.abc import Callable
from typing import Any

from levgen.survey.observe.shapes import LENGTH

# Of a logit of 1: parts between which the step is looked for, ever finer.
_LEAST, _MOST, _ROUNDS = 1e-6, 1.0, 6
_FAR = -6.0
# Where a choice, or who is near to it, is nearer than this to another, rounding may decide.
_TIE = 1e-5


def find_jitter(weigh: Callable[[Any], Any], inverse: Any) -> float | None:
    """Half of how much worse than the best, of its size, an expert may be to share its weight; None without a step.

    `weigh`: [n, N] -> [n, experts], what experts weigh. `inverse`: [N, experts], a token for each expert's logit.
    """
    import torch

    least, most = _LEAST, _MOST
    for _ in range(_ROUNDS):
        behind = torch.linspace(least, most, LENGTH, dtype=torch.float64)
        logits = torch.full((LENGTH, inverse.shape[1]), _FAR, dtype=torch.float64)
        logits[:, 0], logits[:, 1] = 1.0, 1.0 - behind
        weights = weigh(logits @ inverse.T)[:, 0]
        # Where the second is as good, it takes half of the weight, and never less than a quarter.
        alone = weights > 0.9 * weights[-1]
        first = int(alone.int().argmax())
        if first == 0 or not bool(alone[first:].all()):
            return None
        least, most = float(behind[first - 1]), float(behind[first])
    return float(f"{most / 2:.6g}")


def near_rows(inverse: Any, jitter: float) -> Any:
    """[n, N]: tokens with experts about as near to the best as may share its weight, logits being of both signs."""
    import torch

    generator = torch.Generator().manual_seed(15)
    spread = torch.rand(LENGTH, inverse.shape[1], generator=generator, dtype=torch.float64)
    best = torch.tensor([3.0, 1.0, -1.0]).double().repeat(LENGTH)[:LENGTH, None]
    return (best - 6 * jitter * spread * best.abs()) @ inverse.T


def mixed_weights(logits: Any, count: int, jitter: float) -> tuple[Any, Any]:
    """(weights [T, experts], [T] whether nothing was near to another choice) for `logits` [T, experts]."""
    import torch

    left, weights = torch.ones_like(logits, dtype=torch.bool), torch.zeros_like(logits)
    clear = torch.ones(len(logits), dtype=torch.bool)
    for _ in range(count):
        compared = logits.masked_fill(~left, float("-inf"))
        best, index = compared.max(dim=-1, keepdim=True)
        behind = (best - compared) / torch.maximum(logits.abs(), best)
        near = compared.masked_fill(behind > 2 * jitter, float("-inf")).softmax(-1)
        weights = weights.scatter(1, index, near.gather(1, index))
        others = behind.scatter(1, index, float("inf"))
        clear &= (torch.minimum(others, (others - 2 * jitter).abs()) > _TIE).all(-1)
        left = left.scatter(1, index, False)
    return weights, clear
