"""Lists by layer that are written as runs."""

import pytest

from levgen.reference.runs import expanded, is_runs, shortened

RUNS = [[["global", "local"], 12]]


@pytest.mark.parametrize(("value", "yes"), [(RUNS, True), ([["a"], 2], False), (["a", "b"], False), ([], False)])
def test_what_is_written_as_runs(value: object, yes: bool) -> None:
    assert is_runs(value) is yes


def test_runs_are_expanded_and_shortened() -> None:
    assert expanded([[["a", "b"], 2], [["c"], 1]]) == ["a", "b", "a", "b", "c"]
    assert expanded(["a", "b"]) == ["a", "b"]
    assert shortened(RUNS, 4) == [[["global", "local"], 2]]
