"""Which layers have what others haven't got: the words that hold at every depth, or none."""

from types import SimpleNamespace
from typing import Any

import pytest

from levgen.survey.config.field_map import FieldMap
from levgen.survey.evidence import UnresolvedError
from levgen.survey.questions.uneven import find_uneven

NORM = "attention_norm"


def _trials(*models: dict[str, Any]) -> Any:
    """Trials of configs, each described by the layers that have what others haven't."""
    examined = []
    for model in models:
        depth = model["depth"]
        measures = SimpleNamespace(
            num_layers=depth,
            missing_norm=tuple(
                None if i in model.get("normed", range(depth)) else NORM for i in range(model.get("seen", depth))
            ),
            added_bias=tuple(i in model.get("biased", ()) for i in range(model.get("seen", depth))),
        )
        examined.append(SimpleNamespace(measures=measures))
    return SimpleNamespace(examined=examined)


def _found(*models: dict[str, Any]) -> dict[str, str]:
    found = FieldMap()
    find_uneven(_trials(*models), found)
    assert {entry.chosen for entry in found.evidence} == set(found.in_layers.values())
    return found.in_layers


@pytest.mark.parametrize(
    ("models", "expected"),
    [
        ([{"depth": 4}], {}),
        ([{"depth": 4, "biased": range(4)}], {"added_bias": "every"}),
        ([{"depth": 4, "biased": [3]}, {"depth": 5, "biased": [4]}], {"added_bias": "last"}),
        ([{"depth": 4, "biased": [0]}, {"depth": 5, "biased": [0]}], {"added_bias": "first"}),
        ([{"depth": 4, "normed": [1, 2, 3]}, {"depth": 5, "normed": [1, 2, 3, 4]}], {NORM: "but_first"}),
        ([{"depth": 4, "normed": [0, 1, 2]}, {"depth": 8, "normed": range(7)}], {NORM: "but_last"}),
        # Of two layers the last is all but the first: the other depth tells.
        ([{"depth": 2, "biased": [1]}, {"depth": 4, "biased": [1, 2, 3]}], {"added_bias": "but_first"}),
        # A config in which only the first layers were looked at says nothing of the last.
        ([{"depth": 4, "biased": [3]}, {"depth": 4, "seen": 1}, {"depth": 5, "biased": [4]}], {"added_bias": "last"}),
    ],
)
def test_words_that_hold_at_every_depth(models: list[dict[str, Any]], expected: dict[str, str]) -> None:
    assert _found(*models) == expected


@pytest.mark.parametrize(
    ("models", "observed"),
    [
        ([{"depth": 4, "biased": [2]}, {"depth": 5, "biased": [2]}], "as no answer says"),
        ([{"depth": 4, "biased": [3]}, {"depth": 5, "biased": [3]}], r"\[3\] of 5"),
        ([{"depth": 4, "biased": [3]}], "no other depth could be examined"),
        ([{"depth": 4, "normed": []}], "as no answer says"),
        ([{"depth": 2, "biased": [1]}], "as no answer says"),
    ],
)
def test_anything_else_is_unknown(models: list[dict[str, Any]], observed: str) -> None:
    with pytest.raises(UnresolvedError, match=observed):
        _found(*models)
