"""Where are the layers? Siblings in which what comes out of one goes into the next."""

import itertools
from dataclasses import dataclass
from typing import Any

from levgen.reference.record import Call, record
from levgen.survey.evidence import UnresolvedError


@dataclass(frozen=True)
class Chain:
    """The stack of layers: its name, and the call of each layer in order."""

    name: str
    layers: tuple[Call, ...]


def find_chain(model: Any, run: Any) -> Chain:
    """The longest list of modules each of which is given what the one before gave. Raises UnresolvedError for none."""
    import torch

    lists = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.ModuleList | torch.nn.Sequential | torch.nn.ModuleDict) and len(module) > 1
    }
    children = {f"{name}.{key}": child for name, parent in lists.items() for key, child in parent.named_children()}
    calls: dict[str, list[Call]] = {}
    for call in record(run, children, arguments=True):
        calls.setdefault(call.name, []).append(call)
    chains = []
    for name, parent in lists.items():
        inside = [calls.get(f"{name}.{key}", []) for key, _ in parent.named_children()]
        if not all(len(made) == 1 for made in inside):
            continue
        layers = [made[0] for made in inside]
        linked = all(
            before.output is not None and after.input is not None and torch.equal(before.output, after.input)
            for before, after in itertools.pairwise(layers)
        )
        if linked:
            chains.append(Chain(name, tuple(layers)))
    if not chains:
        repeated = [name for name, made in calls.items() if len(made) > 1]
        observed = "no list of modules is a chain" + (f"; called more than once: {repeated[:3]}" if repeated else "")
        raise UnresolvedError("where the layers are", observed, model)
    return max(chains, key=lambda chain: len(chain.layers))


def parts_with_parameters(module: Any, called: set[str]) -> dict[str, Any]:
    """The leaves of `module`: called submodules that hold parameters, and call none that does."""
    holding = {name: child for name, child in module.named_modules() if name in called and _has_parameters(child)}
    return {
        name: child
        for name, child in holding.items()
        if not any(other != name and other.startswith(f"{name}." if name else "") for other in holding)
    }


def _has_parameters(module: Any) -> bool:
    return any(True for _ in module.parameters())
