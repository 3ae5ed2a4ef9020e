"""Layers with experts that fields decide on: the last of every so many but for some, or those in a list of numbers."""

from types import SimpleNamespace
from typing import Any

import pytest

from levgen.survey.config.field_map import FieldMap
from levgen.survey.mixture.stepped import find_numbered, find_stepped

# Values of (step, numbers) in the base and where one of them is altered, with what each layer is: s or d.
BASE = (1, [0]), "dsss"


def _trials(*runs: tuple[tuple[int, list[int]], str]) -> Any:
    trials = [
        SimpleNamespace(
            values={"step": step, "numbers": numbers, "depth": 4},
            measures=SimpleNamespace(sparse=tuple(kind == "s" for kind in kinds)),
        )
        for (step, numbers), kinds in runs
    ]
    base, *altered = trials

    def of(name: str) -> list[Any]:
        return [trial for trial in altered if trial.values[name] != base.values[name]]

    return SimpleNamespace(base=base, examined=trials, of=of)


def _found(*runs: tuple[tuple[int, list[int]], str]) -> FieldMap:
    found = FieldMap(sizes={"num_layers": "depth", "num_dense_layers": "step"})
    find_stepped(_trials(*runs), found)
    return found


def test_the_fields_that_say_it_of_every_layer_that_was_examined() -> None:
    found = _found(BASE, ((2, [0]), "dsds"), ((1, [1]), "sdss"))
    assert found.sizes == {"num_layers": "depth", "sparse_step": "step"}
    assert found.lists == {"dense_layers": "numbers"}
    assert [entry.chosen for entry in found.evidence] == ["the last of every step, but for numbers"]


@pytest.mark.parametrize(
    "runs",
    [
        [BASE, ((2, [0]), "dssd"), ((1, [1]), "sdss")],  # every second one, from another on
        [BASE, ((2, [0]), "dsds"), ((1, [1]), "dsss")],  # the list does nothing
        [BASE, ((1, [1]), "sdss")],  # nobody saw what the step does
        [((1, []), "ssss"), ((2, []), "dsds")],  # nor the list
    ],
)
def test_fields_that_do_not_are_not_mapped(runs: list[Any]) -> None:
    found = _found(*runs)
    assert "sparse_step" not in found.sizes
    assert found.lists == {}


@pytest.mark.parametrize(
    ("runs", "known"),
    [
        ([((1, [1, 2, 3]), "dsss"), ((1, [2, 2, 3]), "ddss"), ((2, [1, 2, 3]), "dsss")], True),
        ([((1, [1, 2, 3]), "dsss"), ((2, [1, 2, 3]), "dsss")], False),  # nobody saw what the list does
        ([((1, [1, 2, 3]), "dsss"), ((1, [2, 2, 3]), "sdss")], False),  # it is of those without
    ],
)
def test_a_list_of_the_numbers_of_layers_with_experts(runs: list[Any], known: bool) -> None:
    found = FieldMap(sizes={"num_layers": "depth", "num_dense_layers": "step"})
    trials = _trials(*runs)
    find_numbered(trials, found)
    assert found.lists == ({"sparse_layers": "numbers"} if known else {})
    assert ("num_dense_layers" in found.sizes) != known
    find_stepped(trials, found)
    assert "sparse_step" not in found.sizes
