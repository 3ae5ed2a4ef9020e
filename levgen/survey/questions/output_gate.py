"""Is what attention puts out multiplied by a gate, channel by channel or head by head, before its output projection?

A leaf is a gate where it multiplies: by how much its outputs scale what comes out is the same whatever queries, keys
and values are. A parameter that no module of the layer holds may be added to it, a number for each head. Some columns
of the leaf that gives the queries may be one, too: where values are the same at all positions, what a query sees
changes nothing, and a gate still does.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from levgen.survey.evidence import Evidence, UnresolvedError, choose, relative
from levgen.survey.observe.anatomy import Anatomy, Core
from levgen.survey.observe.columns import Narrowed
from levgen.survey.observe.leaves import Affine
from levgen.survey.observe.shapes import LENGTH, random_like

_QUESTION = "gate on what attention puts out"
# A gate may be computed in fp32.
_ACCEPT = 1e-6
# What changes by less than this part of the largest number is rounding: probabilities in fp32 sum to 1 up to it.
_ZERO = 1e-5
# Name -> where it is 1.
_OPEN = {"sigmoid": 40.0, "softplus": math.log(math.e - 1)}


@dataclass(frozen=True)
class OutputGate:
    """`leaf`: the map that makes it. `per`: so many channels of what comes out are multiplied by one of its outputs.

    `bias`: the parameter that is added to these before the function, if one is, and its number for each of them.
    `columns`: which outputs of the leaf it is, where that gives queries as well.
    """

    leaf: str
    function: str
    per: int
    transposed: bool
    evidence: Evidence
    bias: str | None = None
    added: Any = 0.0
    columns: tuple[int, ...] | None = None

    def opened(self, anatomy: Anatomy, core: Core) -> tuple[Anatomy, Core]:
        """Both without it: in every experiment the gate is 1."""
        import torch

        one = torch.full_like(anatomy.gave[self.leaf], _OPEN[self.function]) - self.added
        if self.columns is not None:
            rest = tuple(at for at in range(one.shape[1]) if at not in set(self.columns))
            gave = {**anatomy.gave, self.leaf: anatomy.gave[self.leaf][:, list(rest)]}
            return replace(anatomy, gave=gave, narrowed={self.leaf: Narrowed(rest, one)}), core
        others = tuple(leaf for leaf in core.sources if leaf != self.leaf)
        return replace(anatomy, held={self.leaf: one}), replace(core, sources=others)

    def factor(self, anatomy: Anatomy) -> Any:
        """[T, N]: what it multiplies each channel by in what was recorded. `anatomy`: as it is with the gate."""
        gave = anatomy.gave[self.leaf].double()
        made = gave if self.columns is None else gave[:, list(self.columns)]
        return _functions()[self.function](made + self.added).repeat_interleave(self.per, dim=1)


def find_output_gate(anatomy: Anatomy, core: Core) -> OutputGate | None:
    """None where nothing that reaches `core` multiplies.

    Raises UnresolvedError for a gate that is none of the known.
    """
    import torch

    module = anatomy.probe.calls[core.target].module
    # Where one map makes all that attention is made of, there is nothing beside it that it could multiply.
    alone = len(core.sources) == 1
    maps = [leaf for leaf in core.sources if isinstance(anatomy.leaves[leaf], Affine) and not alone]
    every = {leaf: list(range(anatomy.gave[leaf].shape[1])) for leaf in maps}
    gates = {leaf: at for leaf, at in every.items() if _multiplies(anatomy, core, leaf, at)}
    if not gates:
        parts = {leaf: _columns_that_count(anatomy, core, leaf) for leaf in maps}
        gates = {leaf: at for leaf, at in parts.items() if at and _multiplies(anatomy, core, leaf, at)}
    if not gates:
        return None
    (leaf, columns), *more = gates.items()
    own = anatomy.leaves[leaf]
    assert isinstance(own, Affine)
    if more or own.bias is not None:
        observed = f"{list(gates)} multiply it" if more else f"{leaf} multiplies it, and has a bias"
        raise UnresolvedError(_QUESTION, observed, module)
    channels, width = len(columns), anatomy.given[core.target].shape[1]
    if width % channels:
        raise UnresolvedError(_QUESTION, f"{channels} channels of {leaf} multiply {width}", module)
    others = _others(anatomy, core, leaf, seed=21)
    one = torch.ones(LENGTH, channels, dtype=torch.float64)
    several = random_like(one, std=3.0, seed=22)
    before, after = (_with_gate(anatomy, core, leaf, columns, at, others) for at in (one, several))
    per = width // channels
    added = {None: 0.0} | {n: p.repeat_interleave(channels // len(p)) for n, p in _vectors(anatomy, channels).items()}
    errors = {
        (name, bias): relative(before * (f(several + b) / f(one + b)).repeat_interleave(per, dim=1), after)
        for name, f in _functions().items()
        for bias, b in added.items()
    }
    said = {key: key[0] + ("" if key[1] is None else f", {key[1]} added") for key in errors}
    function, bias = min(errors, key=lambda key: errors[key])
    whole = columns == every[leaf]
    probe = f"{leaf} at 1, and at random" if whole else f"{channels} columns of {leaf} at 1, and at random"
    found = choose(_QUESTION, {said[k]: e for k, e in errors.items()}, probe, module=module, accept=_ACCEPT)
    among = None if whole else tuple(columns)
    return OutputGate(leaf, function, per, own.transposed, found, bias, added[bias], among)


def _vectors(anatomy: Anatomy, channels: int) -> dict[str, Any]:
    """The parameters that no module holds with a number for each channel of a gate, or for each so many of them."""
    vectors = {name: p.detach().double() for name, p in anatomy.loose.items() if p.dim() == 1}
    return {name: p for name, p in vectors.items() if len(p) <= channels and channels % len(p) == 0}


def _columns_that_count(anatomy: Anatomy, core: Core, leaf: str) -> list[int]:
    """The columns of `leaf` that change what comes out where all else is the same at each position; none where all do,
    or where they change another position than their own."""
    import torch

    others = {
        other: random_like(anatomy.gave[other][:1].double(), seed=27 + n).expand_as(anatomy.gave[other])
        for n, other in enumerate(core.sources)
    }
    middle, every = LENGTH // 3, list(range(others[leaf].shape[1]))
    before = anatomy.run(others, core.target)

    def changed(places: list[tuple[int, int]]) -> Any:
        """[T]: whether what comes out at a position changes where `leaf` moves at `places`: (position, column)."""
        held = others[leaf].clone()
        at, columns = (list(numbers) for numbers in zip(*places, strict=True))
        held[at, columns] += random_like(held[at, columns], seed=28)
        change = anatomy.run({**others, leaf: held}, core.target) - before
        return change.abs().amax(dim=1) > _ZERO * float(before.abs().max())

    if torch.nonzero(changed([(middle, column) for column in every]))[:, 0].tolist() != [middle]:
        return []
    # Positions don't see one another's, so that each may have another column moved. The first sees itself only.
    positions = range(1, LENGTH)
    found = []
    for start in range(0, len(every), len(positions)):
        places = list(zip(positions, every[start:], strict=False))
        moved = changed(places)
        found += [column for position, column in places if moved[position]]
    return found if len(found) < len(every) else []


def _multiplies(anatomy: Anatomy, core: Core, leaf: str, columns: list[int]) -> bool:
    """Whether what comes out scales with `columns` of `leaf` alike for two draws of all else."""
    like = anatomy.gave[leaf][:, columns].double()
    draws = [random_like(like, seed=seed) for seed in (23, 24)]
    first, second = (
        [_with_gate(anatomy, core, leaf, columns, draw, _others(anatomy, core, leaf, seed=seed)) for draw in draws]
        for seed in (25, 26)
    )
    moved = relative(first[0], first[1]) > 1e-3
    return moved and relative(first[0] * second[1], first[1] * second[0]) <= _ACCEPT


def _with_gate(anatomy: Anatomy, core: Core, leaf: str, columns: list[int], values: Any, others: dict[str, Any]) -> Any:
    """[T, N]: what comes out where `columns` of `leaf` are `values` [T, n], and all else is as in `others`."""
    given = others[leaf].clone()
    given[:, columns] = values
    return anatomy.run({**others, leaf: given}, core.target).double()


def _others(anatomy: Anatomy, core: Core, leaf: str, *, seed: int) -> dict[str, Any]:
    """Random outputs of all that reaches `core`, of `leaf` last."""
    sources = [*(other for other in core.sources if other != leaf), leaf]
    return {other: random_like(anatomy.gave[other].double(), seed=seed + 10 * n) for n, other in enumerate(sources)}


def _functions() -> dict[str, Callable[[Any], Any]]:
    import torch

    return {"sigmoid": torch.sigmoid, "softplus": torch.nn.functional.softplus}
