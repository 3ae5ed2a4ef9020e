"""The base config: its registry, its axes, and what it counts from shapes."""

import dataclasses

import draccus
import pytest
from gpt2_model import Gpt2Config
from haliax import Axis
from llama_model import LlamaConfig, LlamaLMHeadModel

from levgen.errors import LevgenError
from levgen.runtime import LmConfig

TINY = LlamaConfig(
    max_seq_len=64, hidden_dim=32, intermediate_dim=48, num_layers=3, num_heads=4, num_kv_heads=2, head_dim=16
)


def test_yaml_chooses_by_registered_name_and_parses_nested_hyperparameters():
    raw = {"type": "test_llama", "hidden_dim": 32, "rope": {"theta": 500.0}}
    config = draccus.decode(LmConfig, raw)
    assert isinstance(config, LlamaConfig)
    assert (config.hidden_dim, config.rope.theta, config.num_layers) == (32, 500.0, 32)
    assert draccus.decode(LmConfig, draccus.encode(config, LmConfig)) == config


def test_an_unknown_name_shows_the_nearest():
    with pytest.raises(LevgenError, match=r"no model type 'test_lama' is registered(.|\n)*did you mean 'test_llama'\?"):
        LmConfig.get_choice_class("test_lama")


def test_the_hf_table_is_no_field_and_the_config_is_hashable():
    assert "hf_fields" not in {field.name for field in dataclasses.fields(LlamaConfig)}
    assert hash(TINY) == hash(dataclasses.replace(TINY))


def _class_in(module: str, qualname: str) -> type:
    return type(qualname, (LlamaConfig,), {"__module__": module, "__qualname__": qualname})


def test_the_same_class_of_a_file_imported_again_replaces_the_earlier_and_another_is_refused():
    first, again, other = _class_in("models.a", "A"), _class_in("models.a", "A"), _class_in("models.b", "A")
    try:
        LmConfig.register_subclass("test_twice")(first)
        assert LmConfig.register_subclass("test_twice", again) is again
        assert LmConfig.get_choice_class("test_twice") is again
        with pytest.raises(LevgenError, match=r"models\.b\.A can't be registered as 'test_twice': models\.a\.A"):
            LmConfig.register_subclass("test_twice")(other)
    finally:
        LmConfig.get_known_choices().pop("test_twice", None)


def test_axes():
    assert Gpt2Config(max_seq_len=10).Pos == Axis("position", 10)
    assert TINY.max_Pos == TINY.Pos == Axis("position", 64)
    assert TINY.KeyPos == Axis("key_position", 64)
    assert TINY.model_type is LlamaLMHeadModel


def test_parameters_are_counted_exactly():
    layer = 32 * (64 + 32 + 32 + 64) + 3 * 32 * 48 + 2 * 32
    assert TINY.total_trainable_params(100) == 3 * layer + 32 + 2 * 100 * 32
    tied = dataclasses.replace(TINY, tie_word_embeddings=True)
    assert tied.total_trainable_params(100) == 3 * layer + 32 + 100 * 32


def test_flops_count_products_the_head_and_attention_with_a_head_size_of_its_own():
    products = 32 * (64 + 32 + 32 + 64) + 3 * 32 * 48
    attention = 10 * (2 * 4 * 16 + 3 * 4 + 2 * 4 * 16)
    expected = 3 * (2 * products + attention) + 2 * 100 * 32
    assert TINY.flops_per_token(100, 10) == expected
    tied = dataclasses.replace(TINY, tie_word_embeddings=True)
    assert tied.flops_per_token(100, 10) == expected


def test_flops_agree_with_levanters_formula_where_heads_fill_the_hidden_size():
    config = dataclasses.replace(TINY, head_dim=8)
    hidden, mlp, layers, heads, kv_heads, context, vocab = 32, 48, 3, 4, 2, 128, 100
    projections = 2 * hidden * hidden + 2 * hidden * (heads * 8 + 2 * kv_heads * 8)
    per_layer = 2 * 3 * hidden * mlp + projections + 4 * context * heads * 8 + 3 * context * heads
    assert config.flops_per_token(vocab, context) == layers * per_layer + 2 * hidden * vocab


def test_flops_of_fused_and_transposed_projections():
    config = Gpt2Config(max_seq_len=64, hidden_dim=32, intermediate_dim=128, num_layers=2, num_heads=4)
    per_layer = 2 * (32 * 96 + 32 * 32 + 2 * 32 * 128) + 10 * (4 * 32 + 3 * 4)
    assert config.flops_per_token(50, 10) == 2 * per_layer + 2 * 50 * 32


def test_windows_change_the_count_through_their_hook():
    class Windowed(LlamaConfig):
        def attention_span(self, context_length: int) -> float:
            return min(context_length, 4)

    config = Windowed(**{field.name: getattr(TINY, field.name) for field in dataclasses.fields(TINY)})
    less = 3 * 6 * (4 * 64 + 3 * 4)
    assert config.flops_per_token(100, 10) == TINY.flops_per_token(100, 10) - less
