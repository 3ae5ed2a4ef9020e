"""Modules that are still to be written, stood in for by what the reference's own give: all around them can be proven.

torch is imported where it is used.
"""

import copy
import dataclasses
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import equinox as eqx
import haliax as hax
import jax
from haliax import Axis, NamedArray
from jax.lax import stop_gradient

from levgen.errors import LevgenError
from levgen.runtime.model import LmHeadModel
from levgen.runtime.parity import Ported
from levgen.runtime.reference import first_tensor
from levgen.runtime.runs import Runs
from levgen.runtime.testing import to_torch

M = TypeVar("M", bound=LmHeadModel)
T = TypeVar("T")


@dataclass(frozen=True)
class Stub:
    """A class of ours that is to be written. `path`: the reference's module in a layer, as `model.layers.{}.mlp`;
    `axis`: the last axis of what goes in and out."""

    module: type[Any]
    path: str
    axis: Axis


class StandIn(eqx.Module):
    """What the reference's module gave, and however much more it is given now than that one was.

    So a wrong input shows in the output, a right one gives exactly what was recorded, and gradients pass through. Under
    a stack both arrays have a layer axis, and each layer is handed its own.
    """

    given: NamedArray
    gave: NamedArray

    def __call__(self, x: NamedArray, *others: Any, **more: Any) -> NamedArray:
        """`x`: {batch, position, axis} -> the same axes. What else a module is told doesn't matter."""
        gave, given = (jax.tree.map(stop_gradient, array) for array in (self.gave, self.given))
        out: NamedArray = gave + (x - given)
        return out.rearrange(x.axes)


class Passing(eqx.Module):
    """Gives what it is given: of a stub's place, where only what surrounds it is looked at."""

    def __call__(self, x: NamedArray, *others: Any, **more: Any) -> NamedArray:
        """`x`: any axes -> the same axes."""
        return x


def without_stubs(model: M, stubs: Iterable[type[Any]]) -> M:
    """`model` with whatever is of the classes `stubs` passed by."""
    for stub in stubs:
        model = _replaced(model, stub, Passing())
    return model


def stand_in(ported: Ported[M], stubs: Iterable[Stub], tokens: NamedArray) -> Ported[M]:
    """`ported` with both sides' `stubs` replaced by what the reference's modules give for `tokens` {batch, position}.

    The reference's logits stay what they were; its gradients pass these modules as ours pass a stand-in. It holds for
    these tokens only.

    Raises LevgenError where the reference has no such module, and where a class is not in the model.
    """
    model, reference = ported.model, copy.deepcopy(ported.reference)
    modules = dict(reference.named_modules())
    for stub in stubs:
        Layers, numbers = _layers_of(model, stub.module)
        paths = [stub.path.format(layer) for layer in numbers]
        missing = [path for path in paths if path not in modules]
        if missing:
            raise LevgenError(f"{type(reference).__name__} has no module {missing[0]!r}")
        recorded = _record(ported.reference, paths, tokens)
        axes = (*tokens.axes, stub.axis)
        standing = partial(_stand_in, stub, recorded, Layers, axes)
        model = _standing(model, stub.module, standing)
        for path in paths:
            modules[path].register_forward_hook(_standing_in(*recorded[path]), with_kwargs=True)
            modules[path].requires_grad_(False)  # ours has no parameters there either
    return dataclasses.replace(ported, model=model, reference=reference)


def _stand_in(stub: Stub, recorded: Any, Layers: Axis, axes: tuple[Axis, ...], numbers: range) -> StandIn:
    """What stands in for `stub` in the layers of these `numbers`. `recorded`: by `_record`; `axes`: of each array."""

    def stacked(which: int) -> NamedArray:
        arrays = [recorded[stub.path.format(number)][which].reshape([a.size for a in axes]) for number in numbers]
        return hax.stack(Layers.resize(len(numbers)), [hax.named(array, axes) for array in arrays])

    return StandIn(stacked(0), stacked(1))


def _layers_of(model: Any, module: type[Any]) -> tuple[Axis, list[int]]:
    """The axis of the layers of a stack, and the numbers of those that hold a `module`."""
    numbers: list[int] = []
    for stack in jax.tree.leaves(model, is_leaf=_is_stack):
        if _is_stack(stack):
            for own, layers in _placed(stack):
                numbers += own if _holds(layers, module) else []
            if numbers:
                return stack.Block, sorted(numbers)
    raise LevgenError(f"no stack of layers of {type(model).__name__} holds a {module.__name__}")


def _is_stack(tree: Any) -> bool:
    from haliax.nn.scan import Stacked

    return isinstance(tree, Stacked | Runs)


def _placed(stack: Any) -> Iterator[tuple[range, Any]]:
    """(the numbers of its layers, layers) for each kind of layers of a stack."""
    if not isinstance(stack, Runs):
        return iter([(range(stack.Block.size), stack.stacked)])
    return ((numbers, own.stacked) for numbers, own in stack.placed())


def _holds(tree: Any, module: type[Any]) -> bool:
    return any(isinstance(leaf, module) for leaf in jax.tree.leaves(tree, is_leaf=lambda x: isinstance(x, module)))


def _standing(model: M, module: type[Any], of_layers: Callable[[range], StandIn]) -> M:
    """`model` with `of_layers(numbers of the layers)` in the place of each `module` in its stacks."""

    def change(numbers: range, layers: Any) -> Any:
        return _replaced(layers, module, of_layers(numbers)) if _holds(layers, module) else layers

    def changed(stack: Any) -> Any:
        if isinstance(stack, Runs):
            return stack.mapped(change)
        if _is_stack(stack):
            return dataclasses.replace(stack, stacked=change(range(stack.Block.size), stack.stacked))
        return stack

    found: M = jax.tree.map(changed, model, is_leaf=_is_stack)
    return found


def _replaced(model: T, module: type[Any], new: eqx.Module) -> T:
    found: T = jax.tree.map(
        lambda x: new if isinstance(x, module) else x, model, is_leaf=lambda x: isinstance(x, module)
    )
    return found


def _record(reference: Any, paths: list[str], tokens: NamedArray) -> dict[str, tuple[Any, Any]]:
    """Path -> what goes into the module, and what comes out of it: copies."""
    import torch

    modules = dict(reference.named_modules())
    seen: dict[str, tuple[Any, Any]] = {}

    def hook(path: str) -> Callable[..., None]:
        def after(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
            given = first_tensor([*args, *kwargs.values()])
            gave = first_tensor(output if isinstance(output, list | tuple) else [output])
            seen[path] = given.detach().clone(), gave.detach().clone()

        return after

    handles = [modules[path].register_forward_hook(hook(path), with_kwargs=True) for path in paths]
    try:
        with torch.no_grad():
            reference(to_torch(tokens))
    finally:
        for handle in handles:
            handle.remove()
    return seen


def _standing_in(given: Any, gave: Any) -> Callable[..., Any]:
    def hook(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
        out = gave + (first_tensor([*args, *kwargs.values()]) - given)
        if not isinstance(output, tuple):
            return out
        return (out, *output[1:])

    return hook
