"""The order of the norm that weights of experts are divided by."""

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from levgen.survey.mixture.norm_order import find_order


def _weights(order: float | None, scale: float = 1.0) -> Any:
    """[16, 8]: three of eight experts, over their norm."""
    scores = torch.rand(16, 8, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    kept = torch.zeros_like(scores).scatter(-1, scores.topk(3)[1], 1.0) * scores
    return scale * (kept if order is None else kept / kept.norm(p=order, dim=-1, keepdim=True))


@pytest.mark.parametrize("order", [0.5, 0.75, 2.0, 3.25])
def test_the_order_of_a_norm(order: float) -> None:
    assert find_order(_weights(order)) == pytest.approx(order, rel=1e-5)


@pytest.mark.parametrize("weights", [_weights(1.0), _weights(None), _weights(2.0, scale=1.5), torch.zeros(4, 8)])
def test_no_norm_but_the_sum(weights: Any) -> None:
    assert find_order(weights) is None
