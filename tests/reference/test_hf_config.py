"""`--from FOLDER`: a config.json is read with care, and its dimensions become defaults."""

import json
from pathlib import Path
from typing import Any

import pytest

from levgen.architecture.catalogue import get
from levgen.errors import LevgenError
from levgen.reference.hf_config import MAX_BYTES, architecture_of, read_hf_config, with_dimensions_of

LLAMA = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 512,
    "intermediate_size": 1376,
    "num_hidden_layers": 8,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "max_position_embeddings": 8192,
    "rope_theta": 500000.0,
    "rope_scaling": {
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 1024,
    },
    "tie_word_embeddings": True,
    "vocab_size": 32000,
}


def _folder(tmp_path: Path, data: Any) -> Path:
    (tmp_path / "config.json").write_text(data if isinstance(data, str) else json.dumps(data))
    return tmp_path


def test_dimensions_become_defaults(tmp_path: Path) -> None:
    """Names of older versions (rope_theta, rope_scaling) and what a field's absence means included."""
    data = read_hf_config(_folder(tmp_path, LLAMA))
    values = {
        name: parameter.default
        for name, parameter in with_dimensions_of(architecture_of(data), data).hyperparameters.items()
    }
    assert values["hidden_dim"] == 512
    assert values["num_kv_heads"] == 4
    assert values["head_dim"] == 64
    assert values["tie_word_embeddings"] is True
    assert values["rope"] == {
        "theta": 500000.0,
        "kind": "llama3",
        "factor": 8.0,
        "original_max_position_embeddings": 1024,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
    }


def test_unset_field_is_computed(tmp_path: Path) -> None:
    data = read_hf_config(_folder(tmp_path, {"model_type": "gpt2", "n_embd": 96, "n_head": 6}))
    read = with_dimensions_of(get("gpt2"), data)
    assert read.hyperparameters["intermediate_dim"].default == 4 * 96


LATENT = {
    "model_type": "youtu",
    "hidden_size": 80,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "q_lora_rank": None,
    "qk_nope_head_dim": 24,
    "qk_rope_head_dim": 16,
}


def test_field_that_may_be_none_and_what_follows_from_others(tmp_path: Path) -> None:
    """A rank of None is one, a key head to each head is what the card derives, and a deviation is a root."""
    data = read_hf_config(_folder(tmp_path, LATENT))
    read = with_dimensions_of(get("youtu"), data).hyperparameters
    assert read["q_lora_rank"].default is None
    assert read["initializer_range"].default == pytest.approx(2 / 20)
    assert read["embedding_initializer_range"].default == pytest.approx(4 / 20)


def test_layers_that_take_over_what_another_chose_are_read(tmp_path: Path) -> None:
    """The config class computes the list of them from other fields."""
    fields = {"model_type": "glm_moe_dsa", "num_hidden_layers": 6, "index_topk": 64, "indexer_rope_interleave": True}
    data = read_hf_config(_folder(tmp_path, fields))
    assert with_dimensions_of(get("glm_moe_dsa"), data).hyperparameters["index_topk"].default == 64
    shared = read_hf_config(_folder(tmp_path, {**fields, "index_topk_freq": 4}))
    read = with_dimensions_of(get("glm_moe_dsa"), shared).hyperparameters["indexer_types"]
    assert read.default == ("full", "full", "shared", "shared", "shared", "full")


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("num_key_value_heads", 2, "num_key_value_heads: the model computes 4 only, found 2"),
        ("rope_interleave", False, "rope_interleave: the model computes True only, found False"),
    ],
)
def test_what_does_not_follow_from_others_is_refused(field: str, value: object, message: str) -> None:
    with pytest.raises(LevgenError) as caught:
        with_dimensions_of(get("youtu"), {**LATENT, field: value})
    assert message in caught.value.message


def test_derived_switch_is_read() -> None:
    data = {"model_type": "qwen2", "use_sliding_window": True, "sliding_window": 64, "num_hidden_layers": 2}
    data["max_window_layers"] = 1
    read = with_dimensions_of(get("qwen2"), data).hyperparameters
    assert read["sliding_window"].default == 64
    assert read["layer_types"].default == ("full_attention", "sliding_attention")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("{", "is not valid JSON"),
        ("[1]", "names no model_type"),
        ({"hidden_size": 3}, "names no model_type"),
        ({"model_type": 7}, "names no model_type"),
        ("[" * 100_000, "is not valid JSON"),
        (" " * (MAX_BYTES + 1), "a model's config.json has at most"),
    ],
    ids=["broken", "list", "no-type", "type-is-a-number", "deep", "huge"],
)
def test_file_that_is_no_config_is_refused(tmp_path: Path, data: Any, message: str) -> None:
    with pytest.raises(LevgenError) as caught:
        read_hf_config(_folder(tmp_path, data))
    assert message in caught.value.message


def test_missing_folder_and_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LevgenError, match="expected a folder"):
        read_hf_config(tmp_path / "nowhere")
    with pytest.raises(LevgenError, match="No such file"):
        read_hf_config(tmp_path)


def test_other_architectures_are_refused() -> None:
    with pytest.raises(LevgenError, match="no card for the model type 'lama'"):
        architecture_of({"model_type": "lama"})
    with pytest.raises(LevgenError, match="not the causal language model LlamaForCausalLM"):
        architecture_of({"model_type": "llama", "architectures": ["LlamaForSequenceClassification"]})


def test_field_that_nothing_maps_blocks() -> None:
    with pytest.raises(LevgenError) as caught:
        with_dimensions_of(get("llama"), {**LLAMA, "attention_sink_logits": 4, "hidden_act": "silu"})
    assert "attention_sink_logits=4" in caught.value.message


def test_fixed_field_with_another_value_blocks() -> None:
    with pytest.raises(LevgenError, match="scale_attn_weights: the model computes True only, found False"):
        with_dimensions_of(get("gpt2"), {"model_type": "gpt2", "scale_attn_weights": False})
