"""Known models with one small change each come out right or unknown, and never wrong."""

from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch
from oddities import ODDITIES, Oddity

from levgen.reference.randomize import token_ids
from levgen.reference.tiny import VOCAB, tiny
from levgen.survey.run import survey_found

pytestmark = pytest.mark.slow
LENGTH = 97
# In fp64: a change that is no change at all leaves less.
EXACT = 1e-9


def _logits(model: Any) -> Any:
    with torch.no_grad():
        return model(token_ids(VOCAB, 521 if hasattr(model, "model") else LENGTH)).logits


@pytest.mark.parametrize("oddity", ODDITIES, ids=lambda oddity: oddity.name.replace(" ", "-"))
def test_a_change_is_found_or_unknown(oddity: Oddity) -> None:
    found = survey_found(oddity.found())
    if found.architecture is None:
        assert found.unknown
        assert not oddity.right, found.text()
        return
    assert oddity.right, f"taken for right: {found.text()}"
    groups = found.architecture.groups()
    for answer, value in oddity.right.items():
        group, _, name = answer.partition(".")
        assert getattr(groups[group], name) == value


@pytest.mark.parametrize("oddity", ODDITIES, ids=lambda oddity: oddity.name.replace(" ", "-"))
def test_a_change_changes_something(oddity: Oddity) -> None:
    plain = tiny(oddity.plain())
    changes = {"max_position_embeddings": LENGTH + 8}
    odd = type(plain)(oddity.found(), plain.values)
    before, after = _logits(plain.build(**changes)), _logits(odd.build(**changes))
    moved = float((before - after).abs().max() / before.abs().max())
    assert moved > 1e-3
