"""Kinds of rotary parameters that a config class takes, and that it refuses."""

from typing import get_args

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from levgen.architecture.catalogue import get
from levgen.architecture.schema import RopeKind
from levgen.reference.find import find_type
from levgen.reference.tiny import tiny
from levgen.survey.config.rope_kinds import rope_kinds


@pytest.mark.parametrize(("model_type", "pairs"), [("llama", 6), ("phi3", 8)])
def test_kinds_are_those_of_the_card(model_type: str, pairs: int) -> None:
    reference = get(model_type).reference
    assert reference is not None
    assert tuple(rope_kinds(tiny(find_type(model_type)), "rope_parameters", pairs)) == reference.rope_kinds


def test_one_class_takes_all_and_one_does_not() -> None:
    taken = [get(model_type).reference for model_type in ("llama", "phi3")]
    assert [reference and reference.rope_kinds == get_args(RopeKind) for reference in taken] == [True, False]
