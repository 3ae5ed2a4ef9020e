"""Which axes has a tensor of an unknown module? Each size as an expression over hyperparameters, and a name for it."""

import itertools
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from levgen.survey.evidence import UnresolvedError
from levgen.survey.unknown.inside import QUESTION
from levgen.survey.unknown.inside_sums import size_as_sum
from levgen.survey.unknown.plugs import Hole

# Sizes that modules have, over so many hyperparameters: as a card writes them, and their values.
_FORMS: dict[int, list[tuple[str, Callable[..., int]]]] = {
    1: [
        ("{0}", lambda a: a),
        ("2 * {0}", lambda a: 2 * a),
        ("3 * {0}", lambda a: 3 * a),
        ("4 * {0}", lambda a: 4 * a),
    ],
    2: [
        ("{0} * {1}", lambda a, b: a * b),
        ("{0} // {1}", lambda a, b: a // b),
        ("2 * {0} * {1}", lambda a, b: 2 * a * b),
        ("3 * {0} * {1}", lambda a, b: 3 * a * b),
        ("{0} + {1}", lambda a, b: a + b),
        ("{0} * ({1} // {0})", lambda a, b: a * (b // a)),
    ],
    3: [
        ("{0} * ({1} // {2})", lambda a, b, c: a * (b // c)),
        ("({0} + 2 * {1}) * {2}", lambda a, b, c: (a + 2 * b) * c),
        ("({0} + 2 * {1}) * ({2} // {0})", lambda a, b, c: (a + 2 * b) * (c // a)),
    ],
}


@dataclass(frozen=True)
class Sample:
    """One config: the values of its fields, and the shapes of the tensors of the hole in a layer."""

    values: Mapping[str, Any]
    shapes: dict[str, tuple[int, ...]]


def size_of(samples: list[Sample], name: str, dim: int, numbers: Mapping[str, str], bound: Collection[str] = ()) -> str:
    """A size as an expression over hyperparameters that holds in every config. Raises UnresolvedError for none.

    `bound`: hyperparameters that can't be altered alone.
    """
    sizes = [sample.shapes[name][dim] for sample in samples]
    values = [{ours: sample.values[hf] for ours, hf in numbers.items()} for sample in samples]
    for text, names, value in _expressions(list(numbers)):
        if all(_agrees(value, [row[n] for n in names], size) for row, size in zip(values, sizes, strict=True)):
            return text
    if len(set(sizes)) == 1:
        return str(sizes[0])
    total = size_as_sum(sizes, values, bound)
    if total is not None:
        return total
    raise UnresolvedError(QUESTION, f"dimension {dim} of {name} follows no field: {sizes[:6]}")


def _expressions(names: list[str]) -> Iterator[tuple[str, tuple[str, ...], Callable[..., int]]]:
    """Every form over every choice of `names`, the simplest first."""
    for count, forms in _FORMS.items():
        for chosen, (text, value) in itertools.product(itertools.permutations(names, count), forms):
            yield text.format(*chosen), chosen, value


def _agrees(value: Callable[..., int], numbers: list[int], size: int) -> bool:
    try:
        return value(*numbers) == size
    except ZeroDivisionError:
        return False


class AxisNames:
    """Names for axes: one a size, unless a tensor has a size twice. `own`: those that nothing else in the model has."""

    def __init__(self, hole: Hole) -> None:
        self.own: dict[str, str] = {}
        self._known = {"hidden_dim": "embed"} | ({} if hole.part == "mlp" else {"intermediate_dim": "mlp"})

    def of(self, weight: str, sizes: list[str], places: list[str], stream: str) -> list[str]:
        """The axes of `weight`. `places`: what its dimensions are called; `stream`: the one that is the model's width
        where several could be."""
        made: dict[str, str] = {}
        for place, size in sorted(zip(places, sizes, strict=True), key=lambda pair: pair[0] != stream):
            name = self._known.get(size) or self._new(weight, size, place)
            made[place] = self._another(weight, size, place) if name in made.values() else name
        return [made[place] for place in places]

    def _new(self, weight: str, size: str, place: str) -> str:
        name = size if size.isidentifier() else f"fixed_{size}" if size.isdigit() else _snake(weight, place)
        self._known[size] = name
        self.own[name] = size
        return name

    def _another(self, weight: str, size: str, place: str) -> str:
        name = _snake(weight, place)
        self.own[name] = size
        return name


def _snake(weight: str, place: str) -> str:
    return "_".join(part for part in (weight.removesuffix(".weight"), place) if part).replace(".", "_").lower()
