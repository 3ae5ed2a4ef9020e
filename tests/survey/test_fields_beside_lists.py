"""Fields that do something only where a list by layer says otherwise than in the base config."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from levgen.survey.config import together
from levgen.survey.config.field_map import FieldMap
from levgen.survey.config.through_lists import through_lists

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

    monkeypatch.setattr(together, "snapshot_of", snapshot_of)
    found = FieldMap(lists={"layer_types": "kinds"}, ignored=dict.fromkeys(("pattern", "other"), "nothing moved"))
    still: Any = {
        hf: [SimpleNamespace(changes={hf: BASE[hf] + 1}, in_training=False)]  # type: ignore[operator]  # both numbers
        for hf in ("pattern", "other")
    }
    together.fix_where_lists_differ(_trials(fields), found, still)
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


@dataclass(frozen=True)
class _Measures:
    """Of layers, a D without experts or an S with: how wide experts and an MLP are, where there are any."""

    kinds: str
    scale: float = 1.0

    @property
    def values(self) -> dict[str, Any]:
        sparse = tuple(kind == "S" for kind in self.kinds)
        expert, dense = 6 if any(sparse) else None, None if all(sparse) else 9
        return {"sparse": sparse, "expert_dim": expert, "intermediate_dim": dense, "attention_scale": self.scale}

    def __getattr__(self, name: str) -> Any:
        return {**self.values, "num_layers": len(self.kinds)}[name]

    def differing(self, other: "_Measures") -> list[str]:
        return [name for name, value in self.values.items() if value != other.values[name]]


@pytest.mark.parametrize(
    ("seen", "through"),
    [
        (["DSSS"], True),
        # No expert is left to be measured, or no MLP.
        (["DDDD", "DSSS"], True),
        (["SSSS", "DSSS"], True),
        # Nothing shows whether it is the list alone.
        (["DDDD"], False),
        (["DSSS at another scale"], False),
        (["DDDD at another scale", "DSSS"], False),
    ],
    ids=str,
)
def test_a_number_of_layers_without_experts_acts_through_their_list(seen: list[str], through: bool) -> None:
    trials: Any = SimpleNamespace(base=SimpleNamespace(measures=_Measures("DDDS")))
    own: Any = []
    for one in seen:
        kinds = one[:4]
        values = {"kinds": [{"D": "dense", "S": "sparse"}[kind] for kind in kinds]}
        measures = _Measures(kinds, 2.0 if one != kinds else 1.0)
        own.append(SimpleNamespace(moved=1.0, values=values, measures=measures))
    found = FieldMap(lists={"mlp_layer_types": "kinds"})
    assert through_lists(trials, found, own) == ("kinds" if through else None)
