"""Fields that a config class computes from others: what they must be, as an expression over those."""

from types import SimpleNamespace
from typing import Any

import pytest

from levgen.survey.config.computed import _follower, _one_word, _repeated
from levgen.survey.config.field_map import FieldMap
from levgen.survey.config.sizes import _unset_holds

FOUND = FieldMap(sizes={"num_layers": "depth", "num_heads": "heads"})


def _trials(full: dict[str, Any], *runs: dict[str, Any]) -> Any:
    """`runs`: the fields' values of configs in which others than those asked about were altered; the base first."""
    examined = [SimpleNamespace(changes={}, values=values) for values in runs]
    return SimpleNamespace(fields=full, base=examined[0], examined=examined)


@pytest.mark.parametrize(
    ("full", "values", "expression"),
    [
        (27, (3, 5), "depth - 1"),
        (28, (4, 6), "depth"),
        (27, (3, 3), None),  # it stays where the other moves
        (20, (3, 5), None),  # at full size it is another
    ],
)
def test_a_field_that_follows_a_size(full: int, values: tuple[int, int], expression: str | None) -> None:
    runs = [{"last": last, "depth": depth, "heads": 2} for last, depth in zip(values, (4, 6), strict=True)]
    assert _follower(_trials({"last": full, "depth": 28, "heads": 16}, *runs), FOUND, "last") == expression


@pytest.mark.parametrize(
    ("held", "expression"),
    [
        (([6, 6, 6, 6], [8, 8, 8, 8], [6, 6, 6]), "[heads] * depth"),
        (([6, 6, 6, 6], [8, 8, 8, 6], [6, 6, 6]), None),
        (([6, 6, 6, 6], [6, 6, 6, 6], [6, 6, 6]), None),
    ],
)
def test_a_list_that_repeats_a_size(held: tuple[list[int], ...], expression: str | None) -> None:
    sizes = ((6, 4), (8, 4), (6, 3))
    runs = [{"each": each, "heads": h, "depth": d} for each, (h, d) in zip(held, sizes, strict=True)]
    full = {"each": [48] * 40, "heads": 48, "depth": 40}
    assert _repeated(_trials(full, *runs), FOUND, "each") == expression


@pytest.mark.parametrize(
    ("held", "full", "expression"),
    [
        ((["whole"] * 4, ["whole"] * 3), ["whole"] * 40, "['whole'] * depth"),
        ((["whole"] * 4, ["whole", "whole", "part"]), ["whole"] * 40, None),
        ((["whole"] * 4, ["whole"] * 3), ["part", *["whole"] * 39], None),
        ((["whole"] * 4, ["whole"] * 3), ["whole"] * 39, None),
        (([1] * 4, [1] * 3), [1] * 40, None),
    ],
)
def test_a_list_of_one_word(held: tuple[list[Any], ...], full: list[Any], expression: str | None) -> None:
    runs = [{"each": each, "heads": 2, "depth": depth} for each, depth in zip(held, (4, 3), strict=True)]
    assert _one_word(_trials({"each": full, "heads": 16, "depth": 40}, *runs), FOUND, "each") == expression


@pytest.mark.parametrize(
    ("widths", "holds"),
    [
        ((80, 96, None), True),  # in the last of the configs no layer has it
        ((80, 80, None), False),  # it stays where the other moves
        ((None, None, None), False),  # nobody saw it
    ],
)
def test_what_none_means_in_a_width(widths: tuple[int | None, ...], holds: bool) -> None:
    examined = [
        SimpleNamespace(changes={}, values={"wide": None, "other": other}, measures=SimpleNamespace(width=width))
        for other, width in zip((80, 96, 80), widths, strict=True)
    ]
    trials: Any = SimpleNamespace(examined=examined)
    assert _unset_holds(trials, "wide", "width", "other") is holds
