"""Is a module with a norm and two maps in it a norm whose output is multiplied by a gate made of that output?"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from levgen.reference.record import Call
from levgen.survey.evidence import ACCEPT, UnresolvedError, choose, relative
from levgen.survey.observe.chain import parts_with_parameters
from levgen.survey.observe.leaves import Affine, NormGate, NormLeaf, identify
from levgen.survey.observe.shapes import random_like
from levgen.survey.questions.functions import known_activations

_QUESTION = "gate on what a norm puts out"
_SIGMOID = "sigmoid"
# Functions closer than this are one function under several names.
_SAME = 1e-9
# Deviations of inputs: a norm hides the size of what it is given, and those of its own output are large enough to tell.
_STD = 2.0


def find_gated_norms(layer: Any, calls: Mapping[str, list[Call]]) -> dict[str, NormLeaf]:
    """Name -> the norm with a gate that a module in `layer` is. `calls`: of the modules in it, by name.

    What has the parts of one and computes something else is left out: it is taken apart as all else is.
    """
    found = {}
    for name, made in calls.items():
        if len(made) != 1 or made[0].input is None or made[0].output is None:
            continue
        if made[0].input.shape == made[0].output.shape and (leaf := _gated_norm(name, made[0], calls)) is not None:
            found[name] = leaf
    return found


def _gated_norm(name: str, call: Call, calls: Mapping[str, list[Call]]) -> NormLeaf | None:
    """The norm with a gate that the module of `call` is; None where it is none."""
    import torch

    inside = {n.removeprefix(f"{name}."): own for n, own in calls.items() if n.startswith(f"{name}.")}
    parts = parts_with_parameters(call.module, set(inside))
    if len(parts) != 3 or any(len(inside[part]) != 1 for part in parts):
        return None
    ordered = [part for part in inside if part in parts]  # as they were called
    ones = [inside[part][0] for part in ordered]
    if any(one.input is None or one.output is None for one in ones) or not torch.equal(ones[0].input, call.input):
        return None
    if not torch.equal(ones[1].input, ones[0].output):
        return None
    try:
        norm, down, up = (identify(one.module, one.input) for one in ones)
    except UnresolvedError:
        return None
    if not (isinstance(norm, NormLeaf) and isinstance(down, Affine) and isinstance(up, Affine)):
        return None
    if down.transposed or up.transposed or down.bias is not None or up.bias is not None:
        return None
    own = sum(p.numel() for p in call.module.parameters())
    if own != sum(p.numel() for one in ones for p in one.module.parameters()):
        return None
    errors, activations = _errors(call, [one.module for one in ones])
    if min(errors.values()) > ACCEPT:
        return None
    probe = "random inputs, each of the parts called alone"
    evidence = choose(_QUESTION, errors, probe, module=call.module)
    function, _, activation = str(evidence.chosen).partition(" of ")
    if function != _SIGMOID:
        raise UnresolvedError(_QUESTION, f"it is {function}, and {_SIGMOID} is known", call.module)
    names = activations[activation]
    first, second, third = ordered
    return replace(norm, gate=NormGate(first, second, third, down.width, names, evidence))


def _errors(call: Call, modules: list[Any]) -> tuple[dict[str, float], dict[str, tuple[str, ...]]]:
    """(how far the module of `call` is from each form, {the first name of an activation: all names of it})."""
    import torch

    x = random_like(call.input, std=_STD, seed=8)
    norm, down, up = modules
    with torch.no_grad():
        seen = call.module(x)
        normed = norm(x)
        hidden = down(normed)
        errors, names = {}, {}
        for same, f in _distinct(hidden):
            names[same[0]] = same
            made = up(f(hidden))
            for form, gated in _forms(normed, x).items():
                errors[f"{form} of {same[0]}"] = relative(gated(made).double(), seen.double())
    return errors, names


def _distinct(x: Any) -> Iterator[tuple[tuple[str, ...], Callable[[Any], Any]]]:
    """(names, function) of all activations that differ at `x`, and of none at all."""
    left: dict[str, Callable[[Any], Any]] = {**known_activations(), "the map down": lambda y: y}
    while left:
        name, f = next(iter(left.items()))
        same = tuple(other for other, g in left.items() if relative(g(x), f(x)) < _SAME)
        left = {other: g for other, g in left.items() if other not in same and other != name}
        yield same or (name,), f


def _forms(normed: Any, x: Any) -> dict[str, Callable[[Any], Any]]:
    """What is multiplied by what, of the output of the map up."""
    import torch

    return {
        _SIGMOID: lambda made: normed * torch.sigmoid(made),
        "sigmoid times the input": lambda made: x * torch.sigmoid(made),
        "twice the sigmoid": lambda made: 2 * normed * torch.sigmoid(made),
        "tanh": lambda made: normed * torch.tanh(made),
        "1 + tanh": lambda made: normed * (1 + torch.tanh(made)),
        "the map up": lambda made: normed * made,
        "a sum": lambda made: normed + made,
    }
