"""Which sequences each step trains on: shuffled by seed, mixed by weight, any step's batch found directly."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from levgen.errors import LevgenError

Ids = np.ndarray[Any, np.dtype[np.int32]]  # {sequence, position}
Order = np.ndarray[Any, np.dtype[np.int64]]

_MIXTURE = 2**32 - 1  # sets the generator of the mixture apart from those of the epochs


class Place(NamedTuple):
    """A sequence of the training data: the component that it is of, and its number there, counted in its files."""

    component: str
    number: int


@dataclass(frozen=True)
class Batches:
    """An endless row of batches. Each epoch of a component has an order of its own that follows from the seed.

    Several components are mixed as Levanter mixes them: every block of `block_size` sequences holds as many of each as
    its weight says, in an order drawn for that block; a component that is used up starts over.
    """

    components: Mapping[str, Ids]
    batch_size: int
    seed: int
    shuffle: bool
    weights: Mapping[str, float]
    block_size: int
    _counts: dict[str, int] = field(init=False, repr=False)  # of each component in a block

    def __post_init__(self) -> None:
        object.__setattr__(self, "_counts", _counts_in_block(self.weights, self.block_size))

    def at(self, step: int) -> Ids:
        """The batch of step `step`, {batch, position}, without going through those before it."""
        return np.stack([self.components[name][number] for name, number in self.places(step)])

    def places(self, step: int) -> list[Place]:
        """Where the sequences of the batch of step `step` come from, in its order."""
        return [self._place(number) for number in range(step * self.batch_size, (step + 1) * self.batch_size)]

    def _place(self, number: int) -> Place:
        """The place of the `number`-th sequence that is trained on."""
        if len(self.components) == 1:
            ((name, sequences),) = self.components.items()
            return self._in_component(name, number, len(sequences))
        block, inside = divmod(number, self.block_size)
        name, nth = self._in_block(block)[inside]
        return self._in_component(name, block * self._counts[name] + nth, len(self.components[name]))

    def _in_component(self, name: str, number: int, count: int) -> Place:
        epoch, inside = divmod(number, count)
        if not self.shuffle:
            return Place(name, inside)
        component = list(self.components).index(name)
        return Place(name, int(_permutation((self.seed, epoch, component), count)[inside]))

    def _in_block(self, block: int) -> list[tuple[str, int]]:
        """For each place of a block its component, and which of the component's sequences in the block it is."""
        slots = [(name, nth) for name, count in self._counts.items() for nth in range(count)]
        return [slots[slot] for slot in _permutation((self.seed, block, _MIXTURE), len(slots))]


def _counts_in_block(weights: Mapping[str, float], block_size: int) -> dict[str, int]:
    """Whole numbers in the ratio of `weights` that sum to `block_size`; the largest takes what rounding leaves."""
    total = sum(weights.values())
    counts = {name: int(weight / total * block_size) for name, weight in weights.items()}
    counts[max(counts, key=lambda name: counts[name])] += block_size - sum(counts.values())
    none = [name for name, count in counts.items() if count == 0]
    if none:
        raise LevgenError(
            f"the weight of {none[0]!r}, {weights[none[0]]:g} of {total:g}, is less than one sequence in a block of "
            f"{block_size}: it would never be used",
            "raise data.mixture_block_size (up to 65535) or the weight, or set it to 0",
        )
    return counts


@lru_cache(maxsize=32)
def _permutation(seed: tuple[int, ...], count: int) -> Order:
    return np.random.default_rng(seed).permutation(count)
