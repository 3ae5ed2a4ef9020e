"""What a survey found in a tiny config is held against the shapes of the class's own defaults."""

import pytest
from msgspec.structs import replace

pytest.importorskip("torch")
pytest.importorskip("transformers")

from levgen.architecture.catalogue import get
from levgen.reference.find import find_type
from levgen.scaffold.complete import complete
from levgen.survey.port import load_port, unlike_at_full_size


def _unlike(model_type: str, **other_fields: str) -> list[str]:
    """With hyperparameters that are read from other fields than the card's."""
    architecture = complete(get(model_type))
    known = architecture.hyperparameters
    changed = {name: replace(known[name], hf=field) for name, field in other_fields.items()}
    architecture = replace(architecture, hyperparameters={**known, **changed})
    return unlike_at_full_size(architecture, load_port(architecture), find_type(model_type))


@pytest.mark.parametrize("model_type", ["mistral", "gpt2", "mixtral"])
def test_shapes_are_the_same(model_type: str) -> None:
    assert _unlike(model_type) == []


def test_a_field_that_was_taken_for_another_shows() -> None:
    found = _unlike("mistral", num_kv_heads="num_attention_heads")
    assert len(found) == 2 * 32
    assert found[0] == "model.layers.0.self_attn.k_proj.weight: ours (4096, 4096), the reference (1024, 4096)"


def test_defaults_that_the_port_refuses_compare_nothing() -> None:
    """Nemotron's class leaves its number of key heads open."""
    assert _unlike("nemotron") == []
