"""What stands between the last hidden state and the output matrix: a linear map, an activation, a norm?"""

from dataclasses import dataclass
from typing import Any

from levgen.reference.record import Call, Probe
from levgen.survey.evidence import Evidence, UnresolvedError, choose, relative
from levgen.survey.observe.leaves import Affine, NormLeaf
from levgen.survey.observe.shapes import LENGTH, canonical, native, random_like
from levgen.survey.observe.sums import explain
from levgen.survey.questions.activation import ACCEPT, SAME
from levgen.survey.questions.functions import known_activations

_QUESTION = "what comes before the head"


@dataclass(frozen=True)
class HeadTransform:
    """norm(act(dense(x))), or without the norm. `activations`: names of one function."""

    dense: str
    bias: bool
    activations: tuple[str, ...]
    norm: str | None
    norm_leaf: NormLeaf | None
    evidence: tuple[Evidence, ...]


def find_head_transform(
    probe: Probe, calls: dict[str, Call], leaves: dict[str, Affine | NormLeaf], chain: tuple[str, ...], hidden: Any
) -> HeadTransform:
    """The transform whose modules `chain` names in order, the head the last of them. `hidden` [T, embed] goes in.

    Raises UnresolvedError where it computes anything else.
    """
    dense, after, *more = chain
    leaf, norm = leaves[dense], leaves[after] if more else None
    module = calls[dense].module
    if not isinstance(leaf, Affine) or len(more) > 1 or not isinstance(norm, NormLeaf | None):
        raise UnresolvedError(_QUESTION, f"modules in this order: {list(chain)}", module)
    given = explain(canonical(calls[dense].input), {"hidden": hidden})
    if given is None or abs(given.terms["hidden"] - 1) > 1e-6 or leaf.width != hidden.shape[1]:
        raise UnresolvedError(_QUESTION, f"{dense} does not turn the hidden states into as many numbers", module)
    if leaf.transposed:
        raise UnresolvedError(_QUESTION, f"the weight of {dense} is stored {{in, out}}", module)
    names, found = _activation(probe, calls, dense, after)
    return HeadTransform(
        dense,
        leaf.bias is not None,
        names,
        after if norm is not None else None,
        norm,
        (found, *((norm.evidence,) if norm is not None else ())),
    )


def _activation(probe: Probe, calls: dict[str, Call], dense: str, after: str) -> tuple[tuple[str, ...], Evidence]:
    """The names of the function between two modules: on a grid in place of what the first gives, and far beyond it."""
    import torch

    given = calls[dense].output

    def between(x: Any) -> Any:
        return canonical(probe.run({dense: native(x, given)}, want=after))

    shape = canonical(given).shape
    grid = torch.linspace(-8, 8, LENGTH * shape[1], dtype=torch.float64).reshape(shape)
    grid[:, -1] = torch.linspace(-60, 60, LENGTH)
    out = between(grid)
    known = known_activations()
    errors = {name: relative(f(grid), out) for name, f in known.items()}
    best = min(errors, key=lambda name: errors[name])
    same = tuple(name for name, f in known.items() if relative(f(grid), known[best](grid)) < SAME)
    distinct = {best: errors[best], **{name: error for name, error in errors.items() if name not in same}}
    question, probed = "activation before the head", "a grid over ±8 and ±60 in place of the linear map's output"
    found = choose(question, distinct, probed, module=calls[dense].module, accept=ACCEPT)
    far = random_like(grid, std=300.0, seed=7)
    if relative(known[best](far), between(far)) > 1e-6:
        raise UnresolvedError(question, f"{best} on a grid over ±8, and not at inputs of std 300", calls[dense].module)
    return same, found
