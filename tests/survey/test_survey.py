"""Surveys from beginning to end: of shipped cards' types, and of architectures that nobody has seen."""

from pathlib import Path

import pytest

from levgen.architecture.catalogue import get
from levgen.architecture.schema import Architecture
from levgen.errors import LevgenError

pytest.importorskip("torch")
pytest.importorskip("transformers")

from levgen.survey import Survey, survey, survey_folder
from levgen.survey.cards import differences

INVENTED = Path(__file__).parent / "invented"


def _rebuilt(found: Survey) -> Architecture:
    assert found.unknown == ()
    assert found.architecture is not None
    assert len(found.errors) == 2
    assert max(found.errors) <= 1e-4
    assert found.gradient_error is not None
    assert found.gradient_error <= 1e-3
    return found.architecture


@pytest.mark.slow
@pytest.mark.parametrize("model_type", ["llama", "gpt2", pytest.param("olmoe", marks=pytest.mark.exhaustive)])
def test_a_survey_gives_the_shipped_card(model_type: str) -> None:
    assert list(differences(get(model_type), _rebuilt(survey(model_type)))) == []


def test_a_folder_runs_no_code_unasked() -> None:
    with pytest.raises(LevgenError, match="--trust-remote-code"):
        survey_folder(INVENTED / "willow")


@pytest.mark.slow
def test_known_parts_under_names_that_nobody_has_seen() -> None:
    found = _rebuilt(survey_folder(INVENTED / "willow", trust_remote_code=True))
    assert found.layer.parallel == "separate"
    assert found.layer.residual_scale == "nudge"
    assert found.positions.layout == "interleaved"
    assert found.attention.qk_norm == "head"
    assert found.norm.offset
    fields = {name: parameter.hf for name, parameter in found.hyperparameters.items()}
    assert fields["num_kv_heads"] == "shared_lookers"
    assert fields["activation"] == "bend"
    assert fields["rope"] == "swirl"
