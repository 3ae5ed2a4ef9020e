import pytest
from hypothesis import given
from hypothesis import strategies as st

from levgen.scaffold.merge import Side, merge

BASE = "a\nb\nc\nd\ne\n"
MINE = "a\nb mine\nc\nd\ne\n"
TEXTS = st.lists(st.sampled_from(["a\n", "b\n", "c\n", "d\n"]), max_size=8).map("".join)


def test_changes_of_both_sides_are_kept() -> None:
    merged = merge(BASE, MINE, "a\nb\nc\nd\ne levgen\nf\n")
    assert merged.text == "a\nb mine\nc\nd\ne levgen\nf\n"
    assert merged.conflicts == ()


@pytest.mark.parametrize(
    ("side", "line"),
    [
        (Side.MINE, "b mine\n"),
        (Side.LEVGEN, "b levgen\n"),
        (Side.MARKERS, "<<<<<<< mine\nb mine\n=======\nb levgen\n>>>>>>> levgen\n"),
    ],
)
def test_lines_that_both_changed(side: Side, line: str) -> None:
    merged = merge(BASE, MINE, "a\nb levgen\nc\nd\nE\n", side=side)
    assert merged.text == f"a\n{line}c\nd\nE\n"
    assert merged.conflicts == ((2, 2),)


@given(base=TEXTS, text=TEXTS)
def test_a_side_that_changed_nothing_gives_way(base: str, text: str) -> None:
    assert merge(base, base, text).text == text
    assert merge(base, text, base).text == text
    assert merge(base, text, text).text == text


@given(base=TEXTS, mine=TEXTS, levgens=TEXTS)
def test_a_conflict_is_one_whatever_shall_stand_there(base: str, mine: str, levgens: str) -> None:
    marked, kept, replaced = (merge(base, mine, levgens, side=side) for side in Side)
    assert marked.conflicts == kept.conflicts == replaced.conflicts
    if not marked.conflicts:
        assert marked.text == kept.text == replaced.text
