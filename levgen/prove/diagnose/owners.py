"""Which class of ours holds the module that the reference calls by a name."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import equinox as eqx
from haliax.nn.scan import BlockSeq, Stacked
from haliax.state_dict import ModuleWithStateDictSerialization

from levgen.runtime.runs import Runs


@dataclass(frozen=True)
class Owner:
    """The module at `path` is the field `field` of the class `owner`."""

    path: str
    owner: str
    field: str


def owner_of(model: Any, path: str) -> Owner:
    """The owner of the module at `path`, or of the nearest one that has a name of ours."""
    found = {owner.path: owner for owner in _walk(model, "")}
    steps = path.split(".")
    while steps:
        above = ".".join(steps)
        if above in found:
            return dataclasses.replace(found[above], path=path)
        steps.pop()
    return Owner(path, type(model).__name__, "")


def _walk(module: Any, path: str) -> Iterator[Owner]:
    renamed = module._state_dict_key_map() if isinstance(module, ModuleWithStateDictSerialization) else {}
    for field in dataclasses.fields(module):
        value = getattr(module, field.name, None)
        theirs = renamed.get(field.name, field.name)
        below = ".".join(part for part in (path, theirs) if part)
        if isinstance(value, Stacked | BlockSeq):
            for layer in range(value.Block.size):
                block = value.stacked if isinstance(value, Stacked) else value.blocks[layer]
                yield from _walk(block, f"{below}.{layer}")
        elif isinstance(value, Runs):
            for numbers, stack in value.placed():
                for layer in numbers:
                    yield from _walk(stack.stacked, f"{below}.{layer}")
        elif isinstance(value, eqx.Module) and dataclasses.is_dataclass(value):
            yield Owner(below, type(module).__name__, field.name)
            yield from _walk(value, below)
