"""What is a tensor the sum of? Sparse least squares over the tensors that came before."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# A sum holds to this relative error; each of its terms matters by at least MATTERS.
SUM_ERROR = 1e-6
MATTERS = 1e-4


@dataclass(frozen=True)
class Sum:
    """target = sum of coefficient * term. `without`: the error when the least important term is left out."""

    terms: dict[str, float]
    error: float
    least: str
    without: float


def explain(target: Any, terms: Mapping[str, Any]) -> Sum | None:
    """`target` [T, N] as a sum of few of `terms` (same shape), or None where they don't make it up.

    Of equal terms the first stands for all.
    """
    import torch

    kept: dict[str, Any] = {}
    for name, term in terms.items():
        if term.shape == target.shape and not any(torch.equal(term, other) for other in kept.values()):
            kept[name] = term
    while kept:
        coefficients, error = _solve(target, kept)
        if error > SUM_ERROR:
            return None
        sizes = {name: abs(c) * float(kept[name].abs().max()) for name, c in zip(kept, coefficients, strict=True)}
        small = [name for name, size in sizes.items() if size < MATTERS * max(sizes.values())]
        if not small:
            break
        # One at a time: leaving out a term moves weight to the others.
        del kept[min(small, key=lambda name: sizes[name])]
    if not kept:
        return None
    without = {name: _solve(target, {k: v for k, v in kept.items() if k != name})[1] for name in kept}
    least = min(without, key=lambda name: without[name])
    if without[least] < MATTERS:
        return None
    return Sum({n: round(c, 9) for n, c in zip(kept, coefficients, strict=True)}, error, least, without[least])


def _solve(target: Any, terms: Mapping[str, Any]) -> tuple[list[float], float]:
    """Least-squares coefficients and the relative error of the fit."""
    import torch

    if not terms:
        return [], 1.0
    matrix = torch.stack([term.reshape(-1) for term in terms.values()], dim=1)
    solution = torch.linalg.lstsq(matrix, target.reshape(-1, 1)).solution
    error = (matrix @ solution - target.reshape(-1, 1)).abs().max() / target.abs().max()
    return [float(c) for c in solution[:, 0]], float(error)
