"""Sizes of unknown modules that are sums of numbers and of products of two."""

import pytest

from levgen.survey.unknown.inside_sums import size_as_sum

BASE = {"heads": 6, "wide": 5, "groups": 2, "state": 16, "rank": 7, "still": 3}


def _configs(*changes: dict[str, int]) -> list[dict[str, int]]:
    altered = [{name: value + 1} for name, value in BASE.items() if name != "still"]
    return [{**BASE, **change} for change in ({}, *altered, *changes)]


@pytest.mark.parametrize(
    "expression",
    ["2 * state + rank", "2 * groups * state + heads * wide", "2 * groups * state + 2 * heads * wide + heads"],
)
def test_a_sum_is_found_that_holds_in_every_config(expression: str) -> None:
    configs = _configs()
    assert size_as_sum([eval(expression, {}, config) for config in configs], configs) == expression


def test_a_term_may_vanish() -> None:
    configs = _configs({"state": 0})
    sizes = [2 * config["state"] + config["rank"] for config in configs]
    assert size_as_sum(sizes, configs) == "2 * state + rank"


def test_what_was_never_altered_is_in_no_sum() -> None:
    configs = _configs()
    assert size_as_sum([config["state"] + config["still"] for config in configs], configs) is None


def test_of_two_sums_that_fit_alike_none_is_taken() -> None:
    """With as many heads as groups and as wide a state, which goes with which shows only where both are altered."""
    alike = {"heads": 4, "groups": 2, "wide": 8, "state": 8}
    configs = [alike, *({**alike, name: value + 1} for name, value in alike.items())]
    sizes = [2 * c["groups"] * c["state"] + c["heads"] * c["wide"] for c in configs]
    assert size_as_sum(sizes, configs) is None
    both = [*configs, {**alike, "state": 9, "heads": 5}]
    sizes = [2 * c["groups"] * c["state"] + c["heads"] * c["wide"] for c in both]
    assert size_as_sum(sizes, both) == "2 * groups * state + heads * wide"


def test_what_follows_nothing_is_no_sum() -> None:
    configs = _configs()
    assert size_as_sum([97 + index**2 for index, _ in enumerate(configs)], configs) is None
