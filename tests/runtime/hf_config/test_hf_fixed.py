"""What the table of config fields makes of attributes that it doesn't map: fixed and derived ones, padding, lengths."""

from dataclasses import dataclass

import pytest

from levgen.errors import LevgenError
from levgen.runtime import HfFields, LmConfig, Rotary

transformers = pytest.importorskip("transformers", reason="there is no config to convert")


@dataclass(frozen=True)
class NarrowConfig(LmConfig):
    """A config whose width of a head follows from two others."""

    max_seq_len: int = 64
    hidden_dim: int = 48
    num_heads: int = 4
    hf_fields = HfFields(
        "LlamaConfig",
        {"max_seq_len": "max_position_embeddings", "hidden_dim": "hidden_size", "num_heads": "num_attention_heads"},
        fixed={
            "head_dim": lambda hf: hf.hidden_size // hf.num_attention_heads,
            "num_key_value_heads": lambda hf: hf.num_attention_heads,
            "attention_bias": True,
        },
    )

    @property
    def model_type(self):
        raise NotImplementedError


def test_computed_value_is_written() -> None:
    hf = NarrowConfig(hidden_dim=80).to_hf_config(97)
    assert (hf.head_dim, hf.attention_bias) == (20, True)
    assert NarrowConfig.from_hf_config(hf) == NarrowConfig(hidden_dim=80)


def test_another_value_than_the_computed_one_is_refused() -> None:
    hf = NarrowConfig().to_hf_config(97)
    hf.head_dim = 16
    with pytest.raises(LevgenError, match="head_dim: the model computes 12 only, found 16"):
        NarrowConfig.from_hf_config(hf)


@dataclass(frozen=True)
class PaddedConfig(LmConfig):
    """A config of a class with a large padding token, and the trained length both in and beside its rope parameters."""

    max_seq_len: int = 64
    rope: Rotary = Rotary(fraction=1.0)
    hf_fields = HfFields(
        "Phi3Config",
        {"max_seq_len": "max_position_embeddings", "rope": "rope_parameters"},
        ignored={"original_max_position_embeddings": "stands in rope_parameters"},
    )

    @property
    def model_type(self):
        raise NotImplementedError


def test_padding_token_beyond_the_vocabulary_is_left_out() -> None:
    assert transformers.Phi3Config().pad_token_id == 32000
    assert PaddedConfig().to_hf_config(97).pad_token_id is None
    assert PaddedConfig().to_hf_config(32064).pad_token_id == 32000


@dataclass(frozen=True)
class AlwaysPaddedConfig(LmConfig):
    """A config of a class that takes no None for its padding token."""

    max_seq_len: int = 64
    hf_fields = HfFields(
        "ModernBertDecoderConfig",
        {"max_seq_len": "max_position_embeddings"},
        ignored={"sliding_window": "half of local_attention"},
    )

    @property
    def model_type(self):
        raise NotImplementedError


def test_the_last_token_pads_where_one_must() -> None:
    assert AlwaysPaddedConfig().to_hf_config(97).pad_token_id == 96
    assert AlwaysPaddedConfig().to_hf_config(50368).pad_token_id == 50283


def test_trained_length_is_the_one_of_the_rope_parameters() -> None:
    factors = tuple(1.0 + i for i in range(48))
    rope = Rotary(
        kind="longrope",
        fraction=1.0,
        factor=4.0,
        original_max_position_embeddings=16,
        short_factor=factors,
        long_factor=factors,
    )
    config = PaddedConfig(rope=rope)
    hf = config.to_hf_config(97)
    assert hf.rope_parameters["original_max_position_embeddings"] == 16
    assert PaddedConfig.from_hf_config(hf) == config


@dataclass(frozen=True)
class MptConfig(LmConfig):
    """A config of one field."""

    max_seq_len: int = 2048

    @property
    def model_type(self):
        raise NotImplementedError


@dataclass(frozen=True)
class NestedConfig(LmConfig):
    """A config with one field inside a config of its own."""

    max_seq_len: int = 64
    clip: float | None = None
    hf_fields = HfFields(
        "MptConfig",
        {"max_seq_len": "max_seq_len", "clip": "attn_config.clip_qkv"},
        fixed={"attn_config.softmax_scale": None},
    )

    @property
    def model_type(self):
        raise NotImplementedError


def test_config_within_a_config_is_read_and_written() -> None:
    hf = NestedConfig(clip=6.0).to_hf_config(97)
    assert hf.attn_config.clip_qkv == 6.0
    assert NestedConfig.from_hf_config(hf) == NestedConfig(clip=6.0)


def test_what_is_given_is_written_and_not_compared() -> None:
    table = HfFields("MptConfig", {"max_seq_len": "max_seq_len"}, ignored={"rate": "of older code"}, given={"rate": 3})
    hf = table.write(MptConfig(), 97, {})
    assert hf.rate == 3
    hf.rate = 4
    assert table.read(MptConfig, hf) == MptConfig()


def test_unhandled_value_within_a_config_is_refused() -> None:
    hf = NestedConfig().to_hf_config(97)
    hf.attn_config.alibi_bias_max = 4
    with pytest.raises(LevgenError, match=r"attn_config\.alibi_bias_max=4"):
        NestedConfig.from_hf_config(hf)


@dataclass(frozen=True)
class PartlyTurnedConfig(LmConfig):
    """A config whose class in transformers turns half of a head where nothing else is said."""

    max_seq_len: int = 64
    rope: Rotary = Rotary(theta=500.0)
    hf_fields = HfFields("PhiConfig", {"max_seq_len": "max_position_embeddings", "rope": "rope_parameters"})

    @property
    def model_type(self):
        raise NotImplementedError


def test_a_rotation_of_whole_heads_says_so_where_the_class_turns_a_part() -> None:
    hf = PartlyTurnedConfig().to_hf_config(97)
    assert hf.rope_parameters["partial_rotary_factor"] == 1.0
    assert PartlyTurnedConfig.from_hf_config(hf).rope == Rotary(theta=500.0, fraction=1.0)


def test_a_rotation_that_leaves_out_what_turns_is_refused_where_the_class_says_it() -> None:
    hf = PartlyTurnedConfig().to_hf_config(97)
    del hf.rope_parameters["partial_rotary_factor"]
    with pytest.raises(LevgenError, match=r"rope_parameters doesn't say which part of a head turns"):
        PartlyTurnedConfig.from_hf_config(hf)
