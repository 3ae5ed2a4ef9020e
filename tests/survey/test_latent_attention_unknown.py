"""A type with latent attention: no question of the survey recognises it, and none may guess."""

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from levgen.survey.run import survey


@pytest.mark.slow
def test_latent_attention_stays_unknown() -> None:
    found = survey("youtu")
    assert found.architecture is None
    assert "modules without a role: ['self_attn.q_a_proj']" in {unknown.observed for unknown in found.unknown}
