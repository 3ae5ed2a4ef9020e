"""A value as the text of a card: short, on one line, and cut where a word ends."""

from typing import Any

import pytest

from levgen.survey.config.card_text import card_text


@pytest.mark.parametrize(
    ("value", "length", "said"),
    [
        ([1, 2], 80, "[1, 2]"),
        ({"rope": 'a "b"'}, 80, "rope: a b"),
        ("three best, over their sum", 26, "three best, over their sum"),
        ("three best, over their sum", 25, "three best, over ..."),
        ("three best, over their sum", 16, "three best ..."),
        ("sigmoid(x@aim)", 10, "sigmoi ..."),
    ],
)
def test_a_value_as_text(value: Any, length: int, said: str) -> None:
    assert card_text(value, length) == said
    assert len(said) <= length
