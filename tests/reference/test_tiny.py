"""Tiny configs by rule: they build, run, and tell apart what a survey tells apart."""

from pathlib import Path

import pytest

from levgen.reference.find import Found, find_folder, find_type
from levgen.reference.randomize import token_ids
from levgen.reference.sizing.values import HEAD_DIM, HEADS, HEADS_BESIDE, VOCAB, WINDOW
from levgen.reference.tiny import tiny

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

INVENTED = Path(__file__).parent.parent / "survey" / "invented"


def _logits(found: Found) -> object:
    with torch.no_grad():
        return tiny(found).build()(token_ids(VOCAB, 41)).logits


@pytest.mark.parametrize("model_type", ["llama", "gpt2", "gptj", "codegen", "opt"])
def test_a_tiny_config_runs(model_type: str) -> None:
    logits = _logits(find_type(model_type))
    assert logits.shape == (1, 41, VOCAB)  # type: ignore[attr-defined]
    assert logits.isfinite().all()  # type: ignore[attr-defined]


def test_sizes_differ_and_key_heads_are_fewer() -> None:
    config = tiny(find_type("llama")).config()
    sizes = [config.hidden_size, config.intermediate_size, config.head_dim, config.num_attention_heads]
    assert len(set(sizes)) == len(sizes)
    assert 1 < config.num_key_value_heads < config.num_attention_heads
    assert config.head_dim * config.num_attention_heads != config.hidden_size


def test_factors_of_one_are_moved_and_differ() -> None:
    config = tiny(find_type("granite")).config()
    factors = [
        config.embedding_multiplier,
        config.logits_scaling,
        config.residual_multiplier,
        config.attention_multiplier,
    ]
    assert 1.0 not in factors
    assert len(set(factors)) == 4


def test_windows_are_shorter_than_a_probe() -> None:
    assert tiny(find_type("mistral")).config().sliding_window == WINDOW
    assert tiny(find_type("gpt_neo")).config().window_size == WINDOW


def test_a_switch_that_windows_need_is_on() -> None:
    assert tiny(find_type("qwen2")).config().use_sliding_window is True
    assert tiny(find_type("qwen2_moe")).config().sliding_window == WINDOW


def test_a_part_that_a_size_of_0_leaves_out_is_there() -> None:
    for model_type in ("granitemoeshared", "granitemoe_swa"):
        assert tiny(find_type(model_type)).config().shared_intermediate_size > 0
    assert "num_nextn_predict_layers" not in tiny(find_type("nemotron_h")).values


def test_a_list_says_that_one_layer_has_no_experts() -> None:
    assert tiny(find_type("mellum")).config().mlp_layer_types == ["dense", "sparse", "sparse", "sparse"]


@pytest.mark.slow
def test_what_is_as_large_as_the_heads_are_many_may_be_a_width() -> None:
    config = tiny(find_type("deepseek_v32")).config()
    assert config.num_attention_heads == HEADS
    assert config.index_head_dim == HEAD_DIM
    assert config.index_n_heads == HEADS_BESIDE  # 64 at full size, a row of a matrix for each channel of each


@pytest.mark.slow
def test_groups_that_a_class_leaves_open_are_opened_together_and_not_all_kept() -> None:
    config = tiny(find_type("axk2")).config()
    assert (config.n_group, config.topk_group) == (3, 2)
    assert config.index_head_dim == HEAD_DIM  # as large at full size as the experts are many


def test_numbers_of_layers_without_experts_are_no_longer_none() -> None:
    assert tiny(find_type("qwen3_moe")).values["mlp_only_layers"] == [0]


def test_a_number_of_layers_without_experts_is_no_longer_0() -> None:
    assert tiny(find_type("deepseek_v2")).config().first_k_dense_replace == 1


def test_a_width_that_a_class_reads_and_does_not_name() -> None:
    made = tiny(find_type("glm4_moe"))
    assert made.unnamed == ("head_dim",)
    assert made.config().head_dim == HEAD_DIM
    assert not hasattr(made.config(head_dim=None), "head_dim")
    assert tiny(find_type("llama")).unnamed == ()


def test_fields_of_unknown_names_are_sized_by_experiment() -> None:
    made = tiny(find_folder(INVENTED / "willow", trust_remote_code=True))
    config = made.config()
    parameters = sum(p.numel() for p in made.build().parameters())
    assert parameters < 500_000
    assert 1 < config.shared_lookers < config.lookers
    assert config.storeys == 4
    assert config.nudge != 1.0


def test_weights_depend_on_names_only() -> None:
    made = tiny(find_type("llama"))
    first, second = made.build(), made.build(num_hidden_layers=2)
    held = dict(first.named_parameters())
    assert all(torch.equal(parameter, held[name]) for name, parameter in second.named_parameters())
    assert all(float(parameter.detach().std()) > 0.05 for parameter in held.values())


@pytest.mark.parametrize("model_type", ["minicpm3", "deepseek_v2"])
def test_parts_of_a_head_are_small_and_differ_and_key_heads_fit(model_type: str) -> None:
    """A width of a head that is a sum, a rank that is large, and key heads that must be as many as heads."""
    config = tiny(find_type(model_type)).config()
    parts = [config.qk_nope_head_dim, config.qk_rope_head_dim, config.v_head_dim]
    ranks = [config.q_lora_rank, config.kv_lora_rank]
    assert len({*parts, *ranks}) == 5
    assert max(parts) < HEAD_DIM
    assert max(ranks) <= config.hidden_size
    assert config.num_key_value_heads == config.num_attention_heads
    assert config.head_dim == config.qk_rope_head_dim  # which the class sees to


def test_a_width_that_a_class_computes_is_left_to_it() -> None:
    """Where it doesn't declare the field, a number that is given would stand, and fit nothing else."""
    made = tiny(find_type("deepseek_v3"))
    assert "head_dim" not in made.values
    assert made.config().head_dim == made.config().qk_rope_head_dim
    assert made.config().n_routed_experts % made.config().n_group == 0
