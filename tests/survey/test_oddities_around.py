"""Known models with one small change each: where that is a stub, what is written around it is the reference's."""

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from oddities import ODDITIES, Oddity

from levgen.survey.run import survey_found

FOUND_IN_NO_ANSWER = [oddity for oddity in ODDITIES if not oddity.right]


@pytest.mark.exhaustive
@pytest.mark.parametrize("oddity", FOUND_IN_NO_ANSWER, ids=lambda oddity: oddity.name.replace(" ", "-"))
def test_a_change_in_one_module_is_a_stub_proven_around(oddity: Oddity) -> None:
    found = survey_found(oddity.found())
    assert found.architecture is None
    if found.stubbed is None:
        assert found.unknown
        return
    assert found.stubbed.unknown
    assert max(found.errors) <= 1e-4
    assert found.gradient_error is not None
    assert found.gradient_error <= 1e-3
