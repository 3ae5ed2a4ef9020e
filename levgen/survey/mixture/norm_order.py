"""Are the weights of a token's experts divided by their norm, and of which order?"""

from typing import Any

# Routers are often computed in fp32.
_AGREE = 1e-4
_RANGE = (0.05, 20.0)
_USUAL = 1e-3  # an order that is nearer to 1 than this is the sum
_HALVINGS = 60


def find_order(weights: Any) -> float | None:
    """The p for which the p-norm of every row of `weights` [n, experts] is 1; None where it is 1, or there is none."""
    import torch

    rows = weights.double()
    rows = rows[(rows > 1e-3).sum(-1) > 1].clamp(min=0)
    if not len(rows):
        return None
    low, high = (torch.full((len(rows), 1), limit, dtype=torch.float64) for limit in _RANGE)
    for _ in range(_HALVINGS):  # the sum of powers of weights below 1 falls with the power
        middle = (low + high) / 2
        above = torch.where(rows > 0, rows**middle, 0.0).sum(-1, keepdim=True) > 1
        low, high = torch.where(above, middle, low), torch.where(above, high, middle)
    order = float(low.median())
    agreeing = ((low - order).abs() <= _AGREE * order).all()
    inside = _RANGE[0] * 1.01 < order < _RANGE[1] * 0.99
    return float(f"{order:.6g}") if agreeing and inside and abs(order - 1) > _USUAL else None
