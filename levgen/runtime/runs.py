"""Layers that are not all alike: one scan for each run of layers that are, or for what repeats."""

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

import equinox as eqx
import jax
from haliax import Axis, NamedArray
from haliax.jax_utils import shaped_rng_split
from haliax.nn.scan import Stacked
from jaxtyping import PRNGKeyArray

from levgen.errors import LevgenError


class Turn(eqx.Module):
    """Layers that come one after the other, again and again: what is scanned is all of them."""

    layers: tuple[Any, ...]

    def __call__(self, x: Any, *args: Any) -> Any:
        """`args`: those of the first layer, of the second, ..."""
        each = len(args) // len(self.layers)
        for index, layer in enumerate(self.layers):
            x = layer(x, *args[index * each : (index + 1) * each])
        return x


# What a layer's class is told of it: a word, or several.
Kind = str | tuple[str, ...]


@dataclass(frozen=True)
class _Turning:
    """Makes a `Turn` as a layer's class makes a layer."""

    Layer: Any
    kinds: tuple[Kind, ...]

    def init(self, config: Any, *, key: PRNGKeyArray) -> Turn:
        keys = jax.random.split(key, len(self.kinds))
        return Turn(tuple(self.Layer.init(config, kind, key=k) for kind, k in zip(self.kinds, keys, strict=True)))


class Runs(eqx.Module):
    """Stacks of layers one after the other, used as one `Stacked` is. In a checkpoint their layers count on."""

    stacks: tuple[Any, ...]  # of Stacked: of layers, or of `Turn`
    sizes: tuple[int, ...] = eqx.field(static=True)  # how many layers each has
    turns: tuple[int, ...] = eqx.field(static=True)  # how many of them are scanned together
    Block: Axis = eqx.field(static=True)  # of all layers

    @staticmethod
    def init(Layers: Axis, kinds: Sequence[Kind], Layer: Any, config: Any, *, key: PRNGKeyArray) -> "Runs":
        """A stack for each run of layers of one kind, or of kinds that repeat, of `Layer.init(config, kind, key=)`.

        Compile time grows with the number of runs and of layers that repeat, and not with the number of layers.

        Raises:
            LevgenError: there are more or fewer kinds than layers.
        """
        if len(kinds) != Layers.size:
            raise LevgenError(f"{len(kinds)} layers are described, and the model has {Layers.size}.")
        parts = repeating(tuple(kinds))
        stacks: list[Any] = []
        for (turn, times), own in zip(parts, jax.random.split(key, len(parts)), strict=True):
            keys = shaped_rng_split(own, times)
            Turns = Layers.resize(times)
            if len(turn) == 1:
                stacks.append(Stacked.init(Turns, Layer, gradient_checkpointing=True)(config, turn[0], key=keys))
            else:
                make = cast(Any, _Turning(Layer, turn))  # all that a stack asks of a class is `init`
                stacks.append(Stacked.init(Turns, make, gradient_checkpointing=True)(config, key=keys))
        sizes = tuple(len(turn) * times for turn, times in parts)
        return Runs(tuple(stacks), sizes, tuple(len(turn) for turn, _ in parts), Layers)

    def fold(self, x: Any, *args: Any) -> Any:
        """As `Stacked.fold`: arguments that have the layers' axis give each layer its own."""
        for start, size, turn, stack in self._placed():
            own = [_part(arg, self.Block, start, size) for arg in args]
            x = stack.fold(x, *(_every(arg, self.Block, first, turn) for first in range(turn) for arg in own))
        return x

    def placed(self) -> Iterator[tuple[range, Any]]:
        """(the numbers of its layers, stack) for each stack of layers of one kind."""
        for start, size, turn, stack in self._placed():
            for first in range(turn):
                one = stack if turn == 1 else eqx.tree_at(lambda s: s.stacked, stack, stack.stacked.layers[first])
                yield range(start + first, start + size, turn), one

    def mapped(self, change: Callable[[range, Any], Any]) -> "Runs":
        """The same with `change(numbers of its layers, layers)` for the layers of each stack of one kind, stacked."""
        stacks = []
        for start, size, turn, stack in self._placed():
            if turn == 1:
                changed = change(range(start, start + size), stack.stacked)
            else:
                layers = enumerate(stack.stacked.layers)
                changed = Turn(tuple(change(range(start + at, start + size, turn), layer) for at, layer in layers))
            stacks.append(dataclasses.replace(stack, stacked=changed))
        return Runs(tuple(stacks), self.sizes, self.turns, self.Block)

    def _placed(self) -> Iterator[tuple[int, int, int, Any]]:
        """(number of its first layer, how many it has, how many of them are scanned together, stack)"""
        starts = itertools.accumulate(self.sizes, initial=0)
        yield from zip(starts, self.sizes, self.turns, self.stacks, strict=False)

    def get_layer(self, index: int) -> Any:
        """As `Stacked.get_layer`."""
        for numbers, stack in self.placed():
            if index in numbers:
                return stack.get_layer(numbers.index(index))
        raise IndexError(f"there are {self.Block.size} layers, and no layer {index}")

    def unstacked(self) -> tuple[Any, ...]:
        """As `Stacked.unstacked`."""
        layers = {
            number: layer
            for numbers, stack in self.placed()
            for number, layer in zip(numbers, stack.unstacked(), strict=True)
        }
        return tuple(layers[number] for number in sorted(layers))


@cache
def repeating(kinds: tuple[Kind, ...]) -> tuple[tuple[tuple[Kind, ...], int], ...]:
    """(kinds that come in turn, how many times) one after the other: of all ways the one with the least to compile.

    dense, sparse, sparse, sparse is dense once, then sparse 3 times; dense, sparse, dense, sparse is both, twice.
    """
    # From each layer on: (layers to compile, turns of several kinds, stacks), and the parts.
    best: list[tuple[tuple[int, int, int], tuple[tuple[tuple[Kind, ...], int], ...]]] = [((0, 0, 0), ())]
    for start in reversed(range(len(kinds))):
        ways = []
        for length in range(1, len(kinds) - start + 1):
            turn, times = kinds[start : start + length], 0
            while kinds[start + times * length : start + (times + 1) * length] == turn:
                times += 1
                if length > 1 and (times == 1 or len(set(turn)) == 1):
                    continue
                (layers, turns, stacks), rest = best[len(kinds) - start - times * length]
                cost = (layers + length, turns + (length > 1), stacks + 1)
                ways.append((cost, ((turn, times), *rest)))
        best.append(min(ways, key=lambda way: way[0]))
    return best[-1][1]


def _part(arg: Any, Block: Axis, start: int, size: int) -> Any:
    if not isinstance(arg, NamedArray) or Block not in arg.axes:
        return arg
    return arg.slice(Block, Block.resize(size), start)


def _every(arg: Any, Block: Axis, first: int, step: int) -> Any:
    """Every so many of a part's layers, from the `first` on."""
    if step == 1 or not isinstance(arg, NamedArray) or Block.name not in [axis.name for axis in arg.axes]:
        return arg
    return arg[Block.name, first::step]
