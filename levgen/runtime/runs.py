"""Layers that are not all alike: one scan for each run of layers that are."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import equinox as eqx
import jax
from haliax import Axis, NamedArray
from haliax.jax_utils import shaped_rng_split
from haliax.nn.scan import Stacked
from jaxtyping import PRNGKeyArray

from levgen.errors import LevgenError


class Runs(eqx.Module):
    """Stacks of layers one after the other, used as one `Stacked` is. In a checkpoint their layers count on."""

    stacks: tuple[Any, ...]  # of Stacked
    sizes: tuple[int, ...] = eqx.field(static=True)
    Block: Axis = eqx.field(static=True)  # of all layers

    @staticmethod
    def init(Layers: Axis, kinds: Sequence[str], Layer: Any, config: Any, *, key: PRNGKeyArray) -> "Runs":
        """A stack for each run of layers of one kind, of `Layer.init(config, kind, key=)`.

        Compile time grows with the number of runs, and not with the number of layers.

        Raises:
            LevgenError: there are more or fewer kinds than layers.
        """
        if len(kinds) != Layers.size:
            raise LevgenError(f"{len(kinds)} layers are described, and the model has {Layers.size}.")
        runs = [(kind, len(list(run))) for kind, run in itertools.groupby(kinds)]
        stacks = []
        for (kind, size), own in zip(runs, jax.random.split(key, len(runs)), strict=True):
            make = Stacked.init(Layers.resize(size), Layer, gradient_checkpointing=True)
            stacks.append(make(config, kind, key=shaped_rng_split(own, size)))
        return Runs(tuple(stacks), tuple(size for _, size in runs), Layers)

    def fold(self, x: Any, *args: Any) -> Any:
        """As `Stacked.fold`: arguments that have the layers' axis give each layer its own."""
        for start, size, stack in self.placed():
            x = stack.fold(x, *(_part(arg, self.Block, start, size) for arg in args))
        return x

    def placed(self) -> Iterator[tuple[int, int, Any]]:
        """(number of its first layer, how many it has, stack) for each stack."""
        starts = itertools.accumulate(self.sizes, initial=0)
        yield from zip(starts, self.sizes, self.stacks, strict=False)

    def get_layer(self, index: int) -> Any:
        """As `Stacked.get_layer`."""
        for start, size, stack in self.placed():
            if start <= index < start + size:
                return stack.get_layer(index - start)
        raise IndexError(f"there are {self.Block.size} layers, and no layer {index}")

    def unstacked(self) -> tuple[Any, ...]:
        """As `Stacked.unstacked`."""
        return tuple(layer for stack in self.stacks for layer in stack.unstacked())


def _part(arg: Any, Block: Axis, start: int, size: int) -> Any:
    if not isinstance(arg, NamedArray) or Block not in arg.axes:
        return arg
    return arg.slice(Block, Block.resize(size), start)
