"""Lists by layer: what their entries say, and how they are altered."""

from types import SimpleNamespace
from typing import Any

import pytest

from levgen.survey.config.lists import altered, kind_of, sees_nothing

FULL, LOCAL, CHUNKED = "full_attention", "sliding_attention", "chunked_attention"


def _measures(**held: Any) -> Any:
    yes = next(iter(held.values()))
    return SimpleNamespace(
        num_layers=len(yes),
        **{name: (name == "rotating",) * len(yes) for name in ("windowed", "rotating", "sparse", "mixer", "indexed")}
        | held,
    )


@pytest.mark.parametrize(
    ("value", "held", "role"),
    [
        ([FULL, LOCAL], {"windowed": (False, True)}, "layer_types"),
        ([1, 0], {"rotating": (True, False)}, "rope_layers"),
        ([500.0, 0.0], {"rotating": (True, False)}, "layer_thetas"),
        ([[["global", "local"], 2]], {"windowed": (False, True, False, True)}, "attention_types"),
        (["dense", "sparse"], {"sparse": (False, True)}, "mlp_layer_types"),
        ([FULL, "conv"], {"mixer": (False, True)}, "mixer_types"),
        (["linear_attention", FULL], {"mixer": (True, False)}, "mixer_types"),
        ([LOCAL, "conv"], {"mixer": (False, True)}, None),
        (["dense", "dense"], {"sparse": (False, True)}, None),
        ([LOCAL, FULL], {"windowed": (False, True)}, None),
        ([FULL, CHUNKED], {"windowed": (False, True)}, "layer_types"),
        ([LOCAL, FULL, CHUNKED], {"windowed": (True, False, True)}, None),
        ([FULL, "strange_attention"], {"windowed": (False, True)}, None),
        ([FULL], {"windowed": (False, True)}, None),
        (["full", "shared"], {"indexed": (True, False)}, "indexer_types"),
        (["full", "full"], {"indexed": (None, None)}, None),
    ],
)
def test_the_kind_that_agrees_with_what_was_measured(value: Any, held: dict[str, Any], role: str | None) -> None:
    kind = kind_of([(value, _measures(**held))])
    assert (None if kind is None else kind.role) == role


def test_a_kind_agrees_in_every_config() -> None:
    assert kind_of([([1, 1], _measures(rotating=(True, True))), ([0, 1], _measures(rotating=(True, True)))]) is None


def test_lists_are_altered_at_both_ends() -> None:
    pytest.importorskip("transformers")
    assert list(altered([FULL, FULL])) == [[LOCAL, FULL], [FULL, LOCAL]]
    assert list(altered([9.0, 9.0])) == [[0.0, 9.0], [9.0, 0.0]]
    assert list(altered([[["global", "local"], 2]])) == [[[["local", "global"], 2]]]


def test_a_window_of_which_a_switch_has_made_nothing() -> None:
    assert sees_nothing(0, [FULL, LOCAL])
    assert not sees_nothing(0, [FULL, FULL])
    assert not sees_nothing(8, [FULL, LOCAL])
    assert not sees_nothing(None, None)
