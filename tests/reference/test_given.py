"""Fields that a class reads and doesn't name, and configs within a config."""

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from levgen.reference.find import find_type
from levgen.reference.given import with_given
from levgen.reference.sizing.fields import own_fields
from levgen.reference.sizing.values import EXPERTS, HEADS, INNER, KV_HEADS
from levgen.reference.tiny import tiny


def test_what_a_class_reads_and_does_not_name_is_given() -> None:
    found = with_given(find_type("dbrx"))
    assert found.given == ("attn_config.rope_theta",)
    assert found.config().attn_config.rope_theta == 1.0
    assert found.config(**{"attn_config.clip_qkv": 3}).attn_config.rope_theta == 1.0


def test_a_class_that_names_what_it_reads_is_given_nothing() -> None:
    found = find_type("llama")
    assert with_given(found) is found


@pytest.mark.parametrize("model_type", ["llama4", "musicgen"])
def test_a_class_that_builds_no_model_all_the_same_is_given_nothing(model_type: str) -> None:
    assert with_given(find_type(model_type)).given == ()


def test_an_entry_of_a_mapping_in_a_config_in_the_config() -> None:
    found = find_type("dbrx")
    assert own_fields(found)["ffn_config.ffn_act_fn.name"] == "silu"
    config = found.config(**{"ffn_config.ffn_act_fn.name": "relu", "ffn_config.moe_top_k": 2})
    assert config.ffn_config.ffn_act_fn == {"name": "relu"}
    assert config.ffn_config.moe_top_k == 2


def test_sizes_of_configs_in_the_config_are_found() -> None:
    config = tiny(find_type("dbrx")).config()
    assert (config.n_heads, config.attn_config.kv_n_heads, config.num_key_value_heads) == (HEADS, KV_HEADS, KV_HEADS)
    assert (config.ffn_config.moe_num_experts, config.ffn_config.ffn_hidden_size) == (EXPERTS, INNER)
    assert 1 < config.ffn_config.moe_top_k < EXPERTS
