"""Numbers that a model needs and that no field of its config holds are unknown, and no guess."""

import pytest

from levgen.architecture.catalogue import get
from levgen.survey.assembly.architecture import with_all_numbers
from levgen.survey.evidence import UnresolvedError


@pytest.mark.parametrize(("model_type", "lost"), [("llama", "intermediate_dim"), ("deepseek_v3", "num_kept_groups")])
def test_a_number_that_no_field_holds(model_type: str, lost: str) -> None:
    card = get(model_type)
    assert with_all_numbers(card) is card
    fewer = {name: parameter for name, parameter in card.hyperparameters.items() if name != lost}
    with pytest.raises(UnresolvedError, match=f"no field of the config says what {lost} is"):
        with_all_numbers(card.changed(hyperparameters=fewer))


def test_a_width_of_a_head_may_follow_from_others() -> None:
    card = get("llama")
    fewer = {name: parameter for name, parameter in card.hyperparameters.items() if name != "head_dim"}
    assert with_all_numbers(card.changed(hyperparameters=fewer)).hyperparameters == fewer
