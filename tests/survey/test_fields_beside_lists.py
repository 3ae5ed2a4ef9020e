"""Fields that do something only where a list by layer says otherwise than in the base config."""

from types import SimpleNamespace
from typing import Any

import pytest

from levgen.survey.config import settle
from levgen.survey.config.fields import FieldMap

BASE = {"kinds": ["a", "b"], "pattern": 1, "other": 7}


class _Snapshot(float):
    def change(self, other: float) -> float:
        return abs(self - other)


def _trials(fields: dict[str, Any]) -> Any:
    by_list = SimpleNamespace(changes={"kinds": ["b", "b"]}, measures=object())
    tiny = SimpleNamespace(build=lambda **changes: {**BASE, **changes}, found=SimpleNamespace(config=object))
    return SimpleNamespace(
        tiny=tiny, fields=fields, base=SimpleNamespace(values=BASE), of=lambda hf: [by_list] if hf == "kinds" else []
    )


def _settled(monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any]) -> FieldMap:
    def snapshot_of(model: dict[str, Any]) -> _Snapshot:
        return _Snapshot(model["pattern"] if model["kinds"][0] == "b" else 0.0)

    monkeypatch.setattr(settle, "snapshot_of", snapshot_of)
    found = FieldMap(lists={"layer_types": "kinds"}, ignored=dict.fromkeys(("pattern", "other"), "nothing moved"))
    still: Any = {
        hf: [SimpleNamespace(changes={hf: BASE[hf] + 1}, in_training=False)]  # type: ignore[operator]  # both numbers
        for hf in ("pattern", "other")
    }
    settle.fix_where_lists_differ(_trials(fields), found, still)
    return found


def test_one_that_acts_there_is_fixed(monkeypatch: pytest.MonkeyPatch) -> None:
    found = _settled(monkeypatch, BASE)
    assert found.fixed == {"pattern": 1}
    assert found.ignored == {"other": "nothing moved"}
    assert found.evidence[0].probe == "it moves where kinds is another"


def test_one_that_is_not_at_its_default_there_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    found = _settled(monkeypatch, {**BASE, "pattern": 3})
    assert found.fixed == {}
    assert [unknown.question for unknown in found.unknown] == ["field pattern"]
