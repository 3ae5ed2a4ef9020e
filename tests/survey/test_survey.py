"""The survey end to end: a surveyed type gives its shipped card, and the code of a folder is not run unasked."""

from pathlib import Path

import pytest

from levgen.architecture.catalogue import get

pytest.importorskip("torch", reason="the reference is in torch")

from levgen.survey.run import survey, survey_folder

pytestmark = pytest.mark.slow
INVENTED = Path(__file__).parent / "invented"


@pytest.mark.parametrize("model_type", ["llama", "gpt2"])
def test_survey_finds_the_answers_of_the_shipped_card(model_type: str) -> None:
    found, card = survey(model_type).architecture, get(model_type)
    assert found is not None
    assert found.groups() == card.groups()
    assert found.names == card.names
    assert found.hyperparameters.keys() == card.hyperparameters.keys()


def test_folder_runs_no_code_unasked() -> None:
    from levgen.errors import LevgenError

    with pytest.raises(LevgenError):
        survey_folder(INVENTED / "willow")
