"""What a card says of a value: short, on one line, and cut where a word ends."""

from typing import Any

import pytest

from levgen.survey.config.idle import plain


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
def test_a_value_as_plain_text(value: Any, length: int, said: str) -> None:
    assert plain(value, length) == said
    assert len(said) <= length
