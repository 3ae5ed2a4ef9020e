"""Parameters counted from axes are those of the model that is generated."""

import re
from pathlib import Path
from typing import Any

import pytest

from levgen.architecture.catalogue import get, known_types
from levgen.architecture.settings import apply_settings
from levgen.importing import import_file
from levgen.scaffold.blank import blank
from levgen.scaffold.complete import complete
from levgen.scaffold.count import cached_numbers, count_modules
from levgen.scaffold.names import model_name
from levgen.scaffold.port import render_model

VOCAB = 1000
UNLIKE = [
    "llama",
    "gpt2",
    "bloom",
    "falcon",
    "codegen",
    "qwen2_moe",
    "gpt_oss",
    "dots1",
    "moshi",
    "deepseek_v32",
    "axk2",
]


def _parameters(folder: Path, model_type: str, settings: list[str]) -> tuple[int, int]:
    """(counted from axes, of the generated model's shapes)"""
    architecture = complete(apply_settings(get(model_type), settings))
    config = _config(folder, model_type, settings)
    return sum(count.total(VOCAB) for count in count_modules(architecture)), config.total_trainable_params(VOCAB)


def _config(folder: Path, model_type: str, settings: list[str]) -> Any:
    """The default config of the generated model."""
    architecture = complete(apply_settings(get(model_type), settings))
    name = f"counted_{model_type}"
    path = folder / f"{name}.py"
    path.write_text(render_model(architecture, model_name(name)))
    return getattr(import_file(path, name), f"{model_name(name).camel}Config")()


def test_counts_where_some_layers_have_experts(tmp_path: Path) -> None:
    settings = ["sparse_step=2", "dense_layers=[3]", "num_layers=5", "num_experts=8"]
    ours, expected = _parameters(tmp_path, "qwen3_moe", settings)
    assert ours == expected


@pytest.mark.parametrize("model_type", UNLIKE)
def test_counts_are_those_of_the_generated_model(tmp_path: Path, model_type: str) -> None:
    ours, expected = _parameters(tmp_path, model_type, [])
    assert ours == expected


def test_operations_of_a_mixture_are_those_of_what_a_token_passes_through(tmp_path: Path) -> None:
    """Two for each parameter that is multiplied, the look-up and the gains of norms apart, and the attention."""
    settings = ["hidden_dim=64", "num_layers=2", "num_experts=16", "max_seq_len=128"]
    architecture = complete(apply_settings(get("mixtral"), settings))
    config = _config(tmp_path, "mixtral", settings)
    counts = [count for count in count_modules(architecture) if "->" in count.axes]
    products = sum(count.passed(VOCAB) for count in counts)
    heads, size, keys = 32, 128, 8
    attention = 2 * keys * (4 * heads * size + 3 * heads)
    assert config.flops_per_token(VOCAB, keys) == 2 * products + attention


@pytest.mark.parametrize(
    "setting",
    [
        "attention.bias=true",
        "attention.sinks=true",
        "attention.value_dim=free",
        "attention.qk_norm=full",
        "attention.heads=latent",
        "mlp.inner_norm=true",
        "embeddings.norm=true",
        "head.bias=true",
        "tie_word_embeddings=true",
        "norm.weight=false",
        "head.final_norm=false",
        "mlp.projections=concat",
        "mlp.joint_width=true",
        "mlp.activation=xielu",
        "head.tied=never",
        "attention.qk_norm=head attention.qk_norm_weight=false",
        "attention.qk_norm=head attention.qk_norm_switch=tie_word_embeddings",
        "layer.attention_norm=but_first",
        "layer.added_bias=last",
        "head_transform.kind=dense",
    ],
)
def test_every_answer_is_counted(tmp_path: Path, setting: str) -> None:
    settings = [*setting.split(), "hidden_dim=64", "num_layers=2", "norm.kind=layer"]
    ours, expected = _parameters(tmp_path, "llama", settings)
    assert ours == expected


@pytest.mark.parametrize(
    "settings",
    [
        ["attention.gate=sigmoid", "attention.gate_bias=true"],
        ["attention.window=by_layer", "attention.local_kv_multiple=2", "attention.sinks=true"],
        ["attention.window=by_layer", "attention.sinks=true", "attention.sinks_in=windowed"],
        ["attention.window=by_layer", "attention.local_kv_multiple=2", "moe.layers=after", "moe.shared=plain"],
    ],
    ids=lambda settings: settings[-1],
)
def test_what_some_layers_have_is_counted(tmp_path: Path, settings: list[str]) -> None:
    sizes = ["hidden_dim=64", "num_layers=5", "num_heads=8", "num_kv_heads=2"]
    ours, expected = _parameters(tmp_path, "llama", [*settings, *sizes])
    assert ours == expected


def test_a_norm_after_experts_is_counted(tmp_path: Path) -> None:
    ours, expected = _parameters(tmp_path, "exaone_moe", ["layer.mlp_output_norm=sparse"])
    assert ours == expected


def test_layers_by_number_are_counted(tmp_path: Path) -> None:
    settings = ["num_layers=4", "sparse_layers=[1, 3, 7]", "rope_layers=[1, 1, 1, 0]", "hidden_dim=64"]
    whole = ["layer_types=[chunked_attention, chunked_attention, chunked_attention, full_attention]"]
    ours, expected = _parameters(tmp_path, "llama4_text", [*settings, *whole])
    assert ours == expected


def test_queries_of_full_rank_are_counted(tmp_path: Path) -> None:
    ours, expected = _parameters(tmp_path, "youtu", ["q_lora_rank=null"])
    assert ours == expected


@pytest.mark.slow
@pytest.mark.parametrize("model_type", sorted(set(known_types()) - set(UNLIKE)))
def test_counts_of_every_card(tmp_path: Path, model_type: str) -> None:
    ours, expected = _parameters(tmp_path, model_type, [])
    assert ours == expected


@pytest.mark.parametrize(
    ("model_type", "cached"),
    [
        ("llama", 32 * 2 * 32 * 128),
        ("falcon", 32 * 2 * 64),
        ("codegen", 28 * 2 * 4096),
        ("youtu", 32 * (512 + 64)),
        ("mimo_v2_flash", 4 * (192 + 128) * (9 + 2 * 39)),
    ],
)
def test_a_cache_holds_keys_and_values_or_what_they_are_made_from(model_type: str, cached: int) -> None:
    assert cached_numbers(complete(get(model_type))) == cached


def test_nobody_knows_what_a_stub_keeps() -> None:
    assert cached_numbers(blank(model_name("my_model"))) is None


def test_modules_go_by_the_names_of_the_checkpoint() -> None:
    counts = {count.module: count for count in count_modules(complete(get("llama")))}
    assert counts["model.layers.*.self_attn.q_proj"].each == 4096 * 4096
    assert counts["model.layers.*.self_attn.q_proj"].times == 32
    assert counts["lm_head"].total(32000) == counts["model.embed_tokens"].total(32000) == 32000 * 4096
    assert all(re.fullmatch(r"[\w.*]+", name) for name in counts)
