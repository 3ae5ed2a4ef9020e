"""Are gate and up of an expert cut to a limit? Its tensors are written so that both are what an experiment needs.

Every expert gets the same tensors, so that what comes out is what one makes of a token, times the sum of all weights:
ratios of its channels are those of one expert's.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from levgen.survey.mixture.bank import Bank

if TYPE_CHECKING:
    from levgen.survey.mixture.experts import Expert

# Beyond any limit.
_FAR = 1e4


@dataclass(frozen=True)
class Clamped:
    """(up + 1) * gate * sigmoid(alpha * gate), where gate is at most `limit`, and up between -limit and limit."""

    alpha: float
    limit: float

    def __call__(self, gate: Any, up: Any) -> Any:
        gate, up = gate.clamp(max=self.limit), up.clamp(-self.limit, self.limit)
        return gate * (self.alpha * gate).sigmoid() * (up + 1)

    def __str__(self) -> str:
        return f"cut to {self.limit:g}, alpha {self.alpha:g}"


def find_clamped(bank: Bank, reading: "Expert", x: Any) -> Clamped | None:
    """The limit and the alpha with which `reading` can be of this form at all; None where it can't.

    `x`: [1, N], a token.
    """
    one, other = _inner(bank, reading, x, (1.0, _FAR), (1.0, -_FAR))
    if one + other == 0.0:
        return None
    limit = (one - other) / (one + other)
    if not 0.0 < limit < _FAR:
        return None
    above, below = _inner(bank, reading, x, (limit / 2, 0.0), (-limit / 2, 0.0))
    if not above * below < 0.0:
        return None
    alpha = math.log(-above / below) / (limit / 2)
    return Clamped(float(f"{alpha:.7g}"), float(f"{limit:.7g}")) if alpha > 0.0 else None


def _inner(bank: Bank, reading: "Expert", x: Any, *pairs: tuple[float, float]) -> tuple[float, ...]:
    """What comes out of an expert's first channels where their (gate, up) are `pairs`, times one number for all."""
    import torch

    embed, width = x.shape[1], reading.width
    gate, up = torch.zeros(width, embed).double(), torch.zeros(width, embed).double()
    down = torch.zeros(embed, width).double()
    for channel, values in enumerate(pairs):
        gate[channel], up[channel] = (value * x[0] / x.pow(2).sum() for value in values)
        down[channel, channel] = 1.0
    out = bank.with_tensors(reading.tensors(gate, up, down), x) - bank.with_experts({}, x)
    return tuple(float(out[0, channel]) for channel in range(len(pairs)))
