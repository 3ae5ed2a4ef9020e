"""Is what attention puts out multiplied by a gate, channel by channel or head by head, before its output projection?

A leaf is a gate where it multiplies: by how much its outputs scale what comes out is the same whatever queries, keys
and values are. A parameter that no module of the layer holds may be added to it, a number for each head.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from levgen.survey.evidence import Evidence, UnresolvedError, choose, relative
from levgen.survey.observe.anatomy import Anatomy, Core
from levgen.survey.observe.leaves import Affine
from levgen.survey.observe.shapes import random_like

_QUESTION = "gate on what attention puts out"
# A gate may be computed in fp32.
_ACCEPT = 1e-6
# Name -> where it is 1.
_OPEN = {"sigmoid": 40.0, "softplus": math.log(math.e - 1)}


@dataclass(frozen=True)
class OutputGate:
    """`leaf`: the map that makes it. `per`: so many channels of what comes out are multiplied by one of its outputs.

    `bias`: the parameter that is added to these before the function, if one is, and its number for each of them.
    """

    leaf: str
    function: str
    per: int
    transposed: bool
    evidence: Evidence
    bias: str | None = None
    added: Any = 0.0

    def opened(self, anatomy: Anatomy, core: Core) -> tuple[Anatomy, Core]:
        """Both without it: in every experiment the gate is 1."""
        import torch

        one = torch.full_like(anatomy.gave[self.leaf], _OPEN[self.function]) - self.added
        others = tuple(leaf for leaf in core.sources if leaf != self.leaf)
        return replace(anatomy, held={self.leaf: one}), replace(core, sources=others)


def find_output_gate(anatomy: Anatomy, core: Core) -> OutputGate | None:
    """None where nothing that reaches `core` multiplies.

    Raises UnresolvedError for a gate that is none of the known.
    """
    import torch

    module = anatomy.probe.calls[core.target].module
    # Where one map makes all that attention is made of, there is nothing beside it that it could multiply.
    alone = len(core.sources) == 1
    maps = [leaf for leaf in core.sources if isinstance(anatomy.leaves[leaf], Affine) and not alone]
    gates = [leaf for leaf in maps if _multiplies(anatomy, core, leaf)]
    if not gates:
        return None
    leaf, *more = gates
    own = anatomy.leaves[leaf]
    assert isinstance(own, Affine)
    if more or own.bias is not None:
        observed = f"{gates} multiply it" if more else f"{leaf} multiplies it, and has a bias"
        raise UnresolvedError(_QUESTION, observed, module)
    channels, width = anatomy.gave[leaf].shape[1], anatomy.given[core.target].shape[1]
    if width % channels:
        raise UnresolvedError(_QUESTION, f"{channels} channels of {leaf} multiply {width}", module)
    others = _others(anatomy, core, leaf, seed=21)
    one = torch.ones_like(anatomy.gave[leaf], dtype=torch.float64)
    several = random_like(anatomy.gave[leaf].double(), std=3.0, seed=22)
    before, after = (anatomy.run({**others, leaf: at}, core.target).double() for at in (one, several))
    per = width // channels
    added = {None: 0.0} | {n: p.repeat_interleave(channels // len(p)) for n, p in _vectors(anatomy, channels).items()}
    errors = {
        (name, bias): relative(before * (f(several + b) / f(one + b)).repeat_interleave(per, dim=1), after)
        for name, f in _functions().items()
        for bias, b in added.items()
    }
    said = {key: key[0] + ("" if key[1] is None else f", {key[1]} added") for key in errors}
    function, bias = min(errors, key=lambda key: errors[key])
    probe = f"{leaf} at 1, and at random"
    found = choose(_QUESTION, {said[k]: e for k, e in errors.items()}, probe, module=module, accept=_ACCEPT)
    return OutputGate(leaf, function, per, own.transposed, found, bias, added[bias])


def _vectors(anatomy: Anatomy, channels: int) -> dict[str, Any]:
    """The parameters that no module holds with a number for each channel of a gate, or for each so many of them."""
    vectors = {name: p.detach().double() for name, p in anatomy.loose.items() if p.dim() == 1}
    return {name: p for name, p in vectors.items() if len(p) <= channels and channels % len(p) == 0}


def _multiplies(anatomy: Anatomy, core: Core, leaf: str) -> bool:
    """Whether what comes out scales with `leaf` alike for two draws of all else."""
    draws = [random_like(anatomy.gave[leaf].double(), seed=seed) for seed in (23, 24)]
    first, second = (
        [anatomy.run({**_others(anatomy, core, leaf, seed=seed), leaf: draw}, core.target).double() for draw in draws]
        for seed in (25, 26)
    )
    moved = relative(first[0], first[1]) > 1e-3
    return moved and relative(first[0] * second[1], first[1] * second[0]) <= _ACCEPT


def _others(anatomy: Anatomy, core: Core, leaf: str, *, seed: int) -> dict[str, Any]:
    """Random outputs of all that reaches `core` beside `leaf`."""
    sources = [other for other in core.sources if other != leaf]
    return {other: random_like(anatomy.gave[other].double(), seed=seed + 10 * n) for n, other in enumerate(sources)}


def _functions() -> dict[str, Callable[[Any], Any]]:
    import torch

    return {"sigmoid": torch.sigmoid, "softplus": torch.nn.functional.softplus}
