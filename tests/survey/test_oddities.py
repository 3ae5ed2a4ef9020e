"""Known models with one small change each come out right or unknown, and never wrong."""

from dataclasses import replace

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch
from oddities import ODDITIES, Oddity

from levgen.reference.randomize import token_ids
from levgen.reference.sizing.values import VOCAB
from levgen.reference.tiny import tiny
from levgen.survey.run import survey_found

LENGTH = 97
# Limits far out act where weights are large.
DEVIATIONS = (0.2, 3.0)


def _moved(oddity: Oddity, std: float) -> float:
    """How far the change moves the logits, relatively."""
    plain = tiny(oddity.plain())
    length = 521 if hasattr(plain.build(), "model") else LENGTH
    changed = replace(plain, found=oddity.found())
    with torch.no_grad():
        before, after = (which.build(std=std)(token_ids(VOCAB, length)).logits for which in (plain, changed))
    return float((before - after).abs().max() / before.abs().max())


@pytest.mark.parametrize(
    "oddity",
    # Each takes some ten seconds: the slow tests take every third one, the exhaustive ones the others.
    [
        pytest.param(one, marks=pytest.mark.exhaustive if one.rare or index % 3 else pytest.mark.slow)
        for index, one in enumerate(ODDITIES)
    ],
    ids=lambda oddity: oddity.name.replace(" ", "-"),
)
def test_a_change_is_found_or_unknown(oddity: Oddity) -> None:
    found = survey_found(oddity.found(), around=False)
    if found.architecture is None:
        assert found.unknown
        assert not oddity.right, found.text()
        return
    assert oddity.right, f"taken for right: {found.text()}"
    groups = found.architecture.groups()
    for answer, value in oddity.right.items():
        group, _, name = answer.partition(".")
        assert getattr(groups[group], name) == value


@pytest.mark.slow
@pytest.mark.parametrize("oddity", ODDITIES, ids=lambda oddity: oddity.name.replace(" ", "-"))
def test_a_change_changes_something(oddity: Oddity) -> None:
    """What is planted acts, else finding nothing would prove nothing."""
    if oddity.same:
        assert _moved(oddity, DEVIATIONS[0]) < 1e-5
        return
    assert max(_moved(oddity, std) for std in DEVIATIONS) > 1e-3
