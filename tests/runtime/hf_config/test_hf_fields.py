"""The table between a config and transformers' config, read in both directions."""

from dataclasses import dataclass

import pytest
from gpt2_model import Gpt2Config
from llama_model import LlamaConfig

from levgen.errors import LevgenError
from levgen.runtime import HfField, HfFields, LmConfig, Rotary
from levgen.runtime.hf_config.common import COMMON_FIELDS

transformers = pytest.importorskip("transformers", reason="there is no config to convert")


class _Base(LmConfig):
    @property
    def model_type(self):
        raise NotImplementedError


LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}


def tiny_llama(**changes):
    values = {
        "vocab_size": 97,
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 32,
        "max_position_embeddings": 512,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    return transformers.LlamaConfig(**{**values, **changes})


def tiny_gpt2(**changes):
    values = {"vocab_size": 97, "n_embd": 64, "n_layer": 3, "n_head": 4, "n_positions": 128}
    return transformers.GPT2Config(**{**values, **changes})


CONFIGS = {
    "llama default": (LlamaConfig, transformers.LlamaConfig),
    "llama": (LlamaConfig, tiny_llama),
    "llama3 rope": (LlamaConfig, lambda: tiny_llama(rope_parameters=LLAMA3)),
    "llama biases, tied": (LlamaConfig, lambda: tiny_llama(attention_bias=True, tie_word_embeddings=True)),
    "gpt2 default": (Gpt2Config, transformers.GPT2Config),
    "gpt2 n_inner unset": (Gpt2Config, tiny_gpt2),
    "gpt2 n_inner": (Gpt2Config, lambda: tiny_gpt2(n_inner=100)),
}


@pytest.mark.parametrize("case", CONFIGS)
def test_there_and_back(case):
    cls, make = CONFIGS[case]
    theirs = make()
    ours = cls.from_hf_config(theirs)
    back = ours.to_hf_config(theirs.vocab_size)
    assert type(back) is type(theirs)
    assert _uncommon(back.to_dict()) == _uncommon(theirs.to_dict())
    assert back.vocab_size == theirs.vocab_size
    assert cls.from_hf_config(theirs.to_dict()) == cls.from_hf_config(theirs.to_diff_dict()) == ours


def _uncommon(attributes):
    return {name: value for name, value in attributes.items() if name not in COMMON_FIELDS or name == "model_type"}


def test_values_are_read():
    ours = LlamaConfig.from_hf_config(tiny_llama(rope_parameters=LLAMA3, attention_bias=True))
    assert (ours.hidden_dim, ours.num_kv_heads, ours.head_dim, ours.attention_bias) == (64, 2, 32, True)
    assert ours.rope == Rotary.from_hf(LLAMA3, max_seq_len=512)
    assert Gpt2Config.from_hf_config(tiny_gpt2()).intermediate_dim == 256
    assert Gpt2Config.from_hf_config(tiny_gpt2(n_inner=100)).intermediate_dim == 100


def test_old_keys_of_a_config_json_are_understood():
    old = {"model_type": "llama", "rope_theta": 5e5, "rope_scaling": {"type": "linear", "factor": 2.0}}
    assert LlamaConfig.from_hf_config(old).rope == Rotary(theta=5e5, kind="linear", factor=2.0)


def test_rotary_positions_are_read_with_the_length_wherever_the_table_has_it():
    @dataclass(frozen=True)
    class RopeFirst(_Base):
        max_seq_len: int = 8
        rope: Rotary = Rotary()
        hf_fields = HfFields(
            None, {"rope": "rope_parameters", "max_seq_len": "max_position_embeddings"}, model_type="rope_first"
        )

    rope = {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}
    ours = RopeFirst.from_hf_config({"max_position_embeddings": 512, "rope_parameters": rope})
    assert ours.rope.max_position_embeddings == 512


def test_a_value_that_transformers_refuses():
    with pytest.raises(LevgenError, match=r"transformers refuses the config: .*hidden_act"):
        LlamaConfig.from_hf_config({"model_type": "llama", "hidden_act": None})


def test_a_dict_is_not_changed():
    raw = {"model_type": "llama", "rope_scaling": {"type": "linear", "factor": 2.0}}
    LlamaConfig.from_hf_config(raw)
    assert raw == {"model_type": "llama", "rope_scaling": {"type": "linear", "factor": 2.0}}


def test_a_subclass_reads_itself():
    @dataclass(frozen=True)
    class Mine(LlamaConfig):
        extra: int = 3

    ours = Mine.from_hf_config(tiny_llama())
    assert type(ours) is Mine
    assert ours.to_hf_config(97).hidden_size == 64
    with pytest.raises(LevgenError, match=r"extra=4 has no transformers attribute.*default is 3"):
        Mine(extra=4).to_hf_config(97)


def test_overrides_come_last():
    assert LlamaConfig().to_hf_config(97, {"eos_token_id": 5}).eos_token_id == 5
    with pytest.raises(LevgenError, match=r"transformers refuses the config: .*hidden_size"):
        LlamaConfig().to_hf_config(97, {"hidden_size": "wide"})


def test_every_problem_is_listed_at_once():
    theirs = tiny_llama(mlp_bias=True, sliding_window=4, gate_config={"bits": 4})
    vars(theirs)["hidden_act"] = None  # transformers itself refuses to assign it
    theirs.rope_parameters = {"rope_type": "default", "rope_theta": 1.0, "rope_thta": 2.0}
    with pytest.raises(LevgenError) as caught:
        LlamaConfig.from_hf_config(theirs)
    text = str(caught.value)
    for problem in (
        "LlamaConfig does not fit LlamaConfig, 5 problems:",
        "activation: transformers' value is None, and str is wanted",
        "mlp_bias: the model computes False only, found True",
        "rope: Unknown rope parameter 'rope_thta'",
        "did you mean 'rope_theta'",
        "sliding_window=4 (not an attribute of the class)",
        "gate_config={'bits': 4}",
    ):
        assert problem in text


def test_an_attribute_at_its_default_blocks_nothing_and_at_another_value_it_does():
    assert LlamaConfig.from_hf_config(tiny_llama(attention_dropout=0.0)).num_layers == 3
    with pytest.raises(LevgenError, match=r"attention_dropout=0\.1 \(default 0\.0\) is handled by no field"):
        LlamaConfig.from_hf_config(tiny_llama(attention_dropout=0.1))
    assert LlamaConfig.from_hf_config(tiny_llama(pretraining_tp=2)).num_layers == 3
    assert LlamaConfig.from_hf_config(tiny_llama(quantization_config={"quant_method": "fp8"})).num_layers == 3


def test_another_model_type_is_refused():
    with pytest.raises(LevgenError, match=r"model_type 'llama', found 'gpt2'(.|\n)*levgen new-model gpt2"):
        LlamaConfig.from_hf_config(tiny_gpt2())
    with pytest.raises(LevgenError, match="model_type 'llama', found 'gpt2'"):
        LlamaConfig.from_hf_config({"model_type": "gpt2"})


def test_names_that_neither_side_has():
    @dataclass(frozen=True)
    class Wrong(_Base):
        max_seq_len: int = 8
        hidden_dim: int = 4
        hf_fields = HfFields("LlamaConfig", {"hiden_dim": "hidden_size", "hidden_dim": "hiden_size"})

    with pytest.raises(LevgenError) as caught:
        Wrong.from_hf_config(tiny_llama())
    assert "hf_fields names 'hiden_dim', and Wrong has no such field (did you mean 'hidden_dim'?)" in str(caught.value)
    assert "LlamaConfig has no attribute 'hiden_size' (did you mean 'hidden_size'" in str(caught.value)
    with pytest.raises(LevgenError, match=r"hf_fields names 'hiden_dim'"):
        Wrong().to_hf_config(97)


def test_an_attribute_that_transformers_would_take_and_never_read_is_not_written():
    def config(fields, **more):
        @dataclass(frozen=True)
        class Wrong(_Base):
            max_seq_len: int = 8
            hidden_dim: int = 4
            hf_fields = HfFields("GPT2Config", {"max_seq_len": "n_positions", **fields}, **more)

        return Wrong()

    with pytest.raises(LevgenError, match=r"GPT2Config has no attribute 'n_emdb' \(did you mean 'n_embd'"):
        config({"hidden_dim": "n_emdb"}).to_hf_config(97)
    with pytest.raises(LevgenError, match="GPT2Config has no attribute 'rotary'"):
        config({"hidden_dim": "n_embd"}, fixed={"rotary": True}).to_hf_config(97)
    assert config({"hidden_dim": "hidden_size"}).to_hf_config(97).n_embd == 4, "another name of it"
    absent = HfField("seq_length", unset=lambda hf: 8)
    assert config({"hidden_dim": "n_embd", "max_seq_len": absent}).to_hf_config(97).seq_length == 8


def test_a_class_that_transformers_has_not():
    with pytest.raises(LevgenError, match=r"no config class 'LlamaConfg'(.|\n)*did you mean 'LlamaConfig'"):
        HfFields("LlamaConfg", {}).hf_class()


def test_parts_of_a_nested_attribute_and_lists():
    @dataclass(frozen=True)
    class Nested(_Base):
        max_seq_len: int = 512
        rope: Rotary = Rotary()
        local_rope: Rotary | None = None
        layer_types: tuple[str, ...] = ()
        hf_fields = HfFields(
            None,
            {
                "max_seq_len": "max_position_embeddings",
                "rope": "rope_parameters.full_attention",
                "local_rope": "rope_parameters.sliding_attention",
                "layer_types": "layer_types",
            },
            model_type="nested",
        )

    full = {"rope_type": "default", "rope_theta": 1e6}
    raw = {
        "model_type": "nested",
        "max_position_embeddings": 512,
        "layer_types": ["full_attention"],
        "rope_parameters": {"full_attention": full, "sliding_attention": None},
    }
    ours = Nested.from_hf_config(raw)
    assert ours == Nested(rope=Rotary(theta=1e6), layer_types=("full_attention",))
    back = ours.to_hf_config(97).to_dict()
    assert {name: back[name] for name in raw} == raw
    raw["rope_parameters"]["chunked_attention"] = full
    with pytest.raises(LevgenError, match=r"rope_parameters\.chunked_attention=.* is handled by no field"):
        Nested.from_hf_config(raw)


def test_a_model_without_reference_keeps_its_own_names():
    @LmConfig.register_subclass("test_own")
    @dataclass(frozen=True)
    class Own(_Base):
        max_seq_len: int = 8
        width: int = 4
        hf_fields = HfFields(None, {"max_seq_len": "max_seq_len", "width": "width"})

    theirs = Own(width=5).to_hf_config(97)
    assert isinstance(theirs, transformers.PretrainedConfig)
    assert (theirs.to_dict()["model_type"], theirs.width, theirs.vocab_size) == ("test_own", 5, 97)
    assert Own.from_hf_config(theirs) == Own.from_hf_config(theirs.to_dict()) == Own(width=5)


def test_unset_is_computed_from_their_config():
    field = HfField("n_inner", unset=lambda hf: 4 * hf.n_embd)
    assert field.unset is not None
    assert field.unset(tiny_gpt2()) == 256


def test_a_value_is_written_where_their_checks_need_it() -> None:
    """transformers itself computes a width of a head that is None, but checks these rotations with it before."""

    @dataclass(frozen=True)
    class Own(_Base):
        max_seq_len: int = 512
        head_dim: int = 8
        rope: Rotary = Rotary()
        hf_fields = HfFields(
            "MixtralConfig",
            {
                "max_seq_len": "max_position_embeddings",
                "head_dim": HfField("head_dim", unset=lambda hf: 128),
                "rope": "rope_parameters",
            },
        )

    factors = {"short_factor": (1.0,) * 4, "long_factor": (2.0,) * 4}
    long = Rotary(kind="longrope", factor=4.0, original_max_position_embeddings=64, **factors)
    assert Own(head_dim=128).to_hf_config(97).head_dim is None
    assert Own(rope=long).to_hf_config(97).head_dim == 8
    assert Own.from_hf_config(Own(rope=long).to_hf_config(97)) == Own(rope=long)
