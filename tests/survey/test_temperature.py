"""Queries that grow with the logarithm of their position, as two fields say."""

import math
from types import SimpleNamespace
from typing import Any

import pytest

from levgen.survey.config.field_map import FieldMap
from levgen.survey.config.temperature import map_temperature
from levgen.survey.observe.shapes import LENGTH


def _scaling(span: int, scale: float, *, early: int = 0, power: float = 1.0) -> tuple[float, ...]:
    """As `find_query_scaling` measures it: in parts of that of position 1, which position 0 is taken to be like."""
    said = [1 + scale * math.log1p((at + 1 + early) // span) ** power for at in range(LENGTH)]
    return tuple(one / said[1] for one in [said[1], *said[1:]])


def _trials(*runs: tuple[int, float, tuple[float, ...] | None]) -> Any:
    trials = [
        SimpleNamespace(
            values={"floor": span, "factor": scale, "depth": 4},
            measures=SimpleNamespace(chunk=None, query_scaling=scaling, has_temperature=scaling is not None),
        )
        for span, scale, scaling in runs
    ]
    base, *altered = trials

    def of(name: str) -> list[Any]:
        return [trial for trial in altered if trial.values[name] != base.values[name]]

    return SimpleNamespace(base=base, examined=trials, of=of, fields=base.values)


def _found(*runs: tuple[int, float, tuple[float, ...] | None]) -> FieldMap:
    found = FieldMap()
    map_temperature(_trials(*runs), found)
    return found


@pytest.mark.parametrize("span", [2, 8])
def test_the_fields_that_say_how_queries_grow(span: int) -> None:
    grown = [(span, 0.1, _scaling(span, 0.1)), (9, 0.1, _scaling(9, 0.1)), (span, 0.15, _scaling(span, 0.15))]
    found = _found(*grown, (span, 0.1, None))
    assert (found.sizes, found.factors) == ({"temperature_span": "floor"}, {"temperature_scale": "factor"})
    (entry,) = found.evidence
    assert entry.chosen == "1 + factor * log(1 + (position + 1) // floor)"
    assert "a step earlier" in entry.probe


@pytest.mark.parametrize("other", [{"early": 1}, {"early": -1}, {"power": 2.0}])
def test_another_growth_is_not_mapped(other: Any) -> None:
    runs = [(span, scale, _scaling(span, scale, **other)) for span, scale in ((8, 0.1), (9, 0.1), (8, 0.15))]
    assert not _found(*runs).sizes


def test_a_field_that_was_not_altered_is_not_mapped() -> None:
    assert not _found((8, 0.1, _scaling(8, 0.1)), (9, 0.1, _scaling(9, 0.1))).sizes
    assert not _found((8, 0.1, None), (9, 0.1, None)).sizes
