"""Values as Python source: long tuples by what repeats in them."""

import pytest

from levgen.scaffold.literals import literal

A, B, C = "a", "b", "c"


@pytest.mark.parametrize(
    ("values", "source"),
    [
        ((A, B, A), '("a", "b", "a")'),
        ((A,) * 9, '("a",) * 9'),
        ((A, B) * 6, '("a", "b") * 6'),
        ((A, *(B,) * 30), '("a", *("b",) * 30)'),
        ((*(A, A, B) * 8, A, A, B, B), '(*("a", "a", "b") * 9, "b")'),
        ((*(A, A, B) * 8, A, B, B), '(*("a", "a", "b") * 8, "a", "b", "b")'),
        ((C, *(A, A, A, B) * 8, A, B), '("c", *("a", "a", "a", "b") * 8, "a", "b")'),
        ((A, B, B, A, A, A, B), '("a", "b", "b", "a", "a", "a", "b")'),
    ],
)
def test_a_tuple_is_written_by_what_repeats(values: tuple[str, ...], source: str) -> None:
    written = literal(values, "tuple[str, ...]")
    assert written == source
    assert eval(written) == values
