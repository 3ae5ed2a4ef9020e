"""Is a size a sum? Of numbers and of products of two, as where several things come out of one map."""

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

# Of each term, how often it may come.
_TIMES = (1, 2)
# At most so many terms.
_TERMS = 3
Column = tuple[int, ...]  # a value in each config
Terms = tuple[str, ...]


def size_as_sum(sizes: Sequence[int], values: Sequence[Mapping[str, int]], bound: Collection[str] = ()) -> str | None:
    """An expression over hyperparameters that is the size in every config; None where there is none, or two.

    `bound`: hyperparameters that can't be altered alone. Where products of them are equal in every config, the config
    class sees to it, and the first stands for all.

    `values`: of the hyperparameters in each config. Only those that were altered stand in it, so that each term shows.
    The fewest terms win, and of those the ones with the fewest numbers.
    """
    target = tuple(sizes)
    varied = [name for name in values[0] if len({row[name] for row in values}) > 1]
    columns = {name: tuple(row[name] for row in values) for name in varied}
    terms = _without_twins(list(_terms(columns, target)), bound)
    by_column: dict[Column, list[str]] = {}
    for text, column in terms:
        by_column.setdefault(column, []).append(text)
    for count in range(2, _TERMS + 1):
        found = {tuple(sorted(each)) for each in _sums(terms, by_column, target, count)}
        if found:
            least = min(_numbers(each) for each in found)
            best = sorted(each for each in found if _numbers(each) == least)
            # Where two sums were the same in all configs that were tried, nothing says which one it is.
            return " + ".join(best[0]) if len(best) == 1 else None
    return None


def _without_twins(terms: Sequence[tuple[str, Column]], bound: Collection[str]) -> list[tuple[str, Column]]:
    """`terms` without those that are made of `bound` hyperparameters and equal one that is, too, in every config."""
    kept: dict[Any, tuple[str, Column]] = {}
    for text, column in terms:
        tied = all(name in bound or name.isdigit() for name in text.split(" * "))
        kept.setdefault(column if tied else text, (text, column))
    return list(kept.values())


def _numbers(terms: Terms) -> int:
    return sum(len(term.split(" * ")) for term in terms)


def _terms(columns: Mapping[str, Column], target: Column) -> Iterator[tuple[str, Column]]:
    """(as a card writes it, its values) of each number and product that leaves something of the size."""
    products = dict(columns)
    for a, b in itertools.combinations(columns, 2):
        products[f"{a} * {b}"] = tuple(x * y for x, y in zip(columns[a], columns[b], strict=True))
    for (text, column), times in itertools.product(products.items(), _TIMES):
        grown = tuple(times * x for x in column)
        if any(grown) and all(0 <= x <= whole for x, whole in zip(grown, target, strict=True)):
            yield (text if times == 1 else f"{times} * {text}"), grown


def _sums(
    terms: Sequence[tuple[str, Column]], by_column: Mapping[Column, Sequence[str]], target: Column, count: int
) -> Iterator[Terms]:
    """The sets of `count` terms that add up to the size: all but the last are tried, which is looked up."""
    for chosen in itertools.combinations(terms, count - 1):
        left = list(target)
        for _, column in chosen:
            left = [whole - x for whole, x in zip(left, column, strict=True)]
        held = [text for text, _ in chosen]
        yield from ((*held, last) for last in by_column.get(tuple(left), ()) if last not in held)
