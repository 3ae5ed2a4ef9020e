"""What is read from transformers' source is what transformers itself says."""

import pytest

from levgen.architecture.catalogue import get, known_types
from levgen.reference.source import causal_type, causal_types, default_vocab_size, in_transformers

pytest.importorskip("transformers")


def test_causal_types_are_those_of_transformers() -> None:
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    assert list(causal_types()) == list(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)


def test_names_are_found_with_either_dash() -> None:
    assert causal_type("openai_gpt") == causal_type("openai-gpt") == "openai-gpt"
    assert causal_type("lama") is None


@pytest.mark.parametrize(("name", "held"), [("clip", True), ("llama", True), ("no_such", False), ("../auto", False)])
def test_folders_of_models(name: str, held: bool) -> None:
    assert in_transformers(name) is held


@pytest.mark.parametrize("model_type", ["llama", "gpt2", "gemma2"])
def test_default_vocab_size_is_that_of_the_config_class(model_type: str) -> None:
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    reference = get(model_type).reference
    assert reference is not None
    assert default_vocab_size(reference.module, reference.config) == CONFIG_MAPPING[model_type]().vocab_size


def test_most_cards_have_a_vocab_size() -> None:
    references = [card.reference for card in map(get, known_types()) if card.reference is not None]
    stated = [default_vocab_size(reference.module, reference.config) for reference in references]
    assert sum(size is not None for size in stated) > 0.8 * len(stated)
