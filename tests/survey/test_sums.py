"""What a tensor is the sum of."""

import pytest

torch = pytest.importorskip("torch")

from levgen.survey.observe.sums import explain


def _terms(count: int) -> dict[str, object]:
    torch.manual_seed(0)
    return {f"t{i}": torch.randn(41, 8, dtype=torch.float64) for i in range(count)}


def test_coefficients_are_solved_and_idle_terms_left_out() -> None:
    terms = _terms(6)
    target = 1.0 * terms["t1"] + 0.7 * terms["t4"]  # type: ignore[operator]
    found = explain(target, terms)
    assert found is not None
    assert found.terms == {"t1": 1.0, "t4": 0.7}
    assert found.error < 1e-12
    assert found.without > 0.1


def test_of_equal_terms_the_first_stands() -> None:
    terms = _terms(2)
    found = explain(2.0 * terms["t0"], {**terms, "again": terms["t0"].clone()})  # type: ignore[operator, attr-defined]
    assert found is not None
    assert found.terms == {"t0": 2.0}


def test_what_is_no_sum_is_not_explained() -> None:
    terms = _terms(4)
    assert explain(torch.tanh(terms["t0"]), terms) is None


def test_a_small_difference_is_no_rounding() -> None:
    terms = _terms(3)
    assert explain(terms["t0"] + 1e-4 * torch.sin(terms["t1"]), terms) is None  # type: ignore[operator]
