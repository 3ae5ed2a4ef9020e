"""Modules that a survey didn't understand: what is known of them is written, what is not is said, and nothing else."""

import dataclasses
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import equinox as eqx
import haliax as hax
import jax.random as jrandom
import pytest
from haliax import Axis

from levgen.architecture.card import as_data, dump_card, parse_card
from levgen.architecture.catalogue import get
from levgen.architecture.schema import Architecture
from levgen.architecture.settings import apply_settings
from levgen.errors import LevgenError
from levgen.importing import import_file
from levgen.plain_yaml import load_yaml
from levgen.project import find_project
from levgen.runtime.checkpoints.names import hf_tensors
from levgen.scaffold.complete import complete
from levgen.scaffold.count import count_modules
from levgen.scaffold.dataflow.layer import dataflow_of
from levgen.scaffold.names import model_name
from levgen.scaffold.port import render_model, render_tests

OBSERVED, WHERE = "the channel block: it sees other positions", "odd.py:12"
STUBS: dict[str, dict[str, Any]] = {
    "mlp": {
        "weights": [
            {"name": "wide.weight", "axes": ["breadth", "embed"], "fresh": "initializer_range"},
            {"name": "wide.bias", "axes": [], "constant": True, "when": "attention_bias"},
            {"name": "narrow.weight", "axes": ["breadth", "embed"], "fresh": "residual"},
            {"name": "mix.0", "axes": ["breadth", "fixed_3"], "fresh": 0.5},
            {"name": "init", "axes": [], "fresh": 2.0, "constant": True, "trained": False},
        ],
        "linear": {"wide": True, "narrow": False},
        "axes": {"breadth": "breadth", "fixed_3": "3"},
        "reads": ["breadth", "swirl"],
    },
    "attention": {
        "weights": [{"name": "all.weight", "axes": ["all_out", "embed"], "fresh": "initializer_range"}],
        "linear": {"all": True},
        "axes": {"all_out": "3 * lookers * (hidden_dim // lookers)"},
        "reads": ["lookers"],
    },
    "activation": {"weights": [{"name": "slope", "axes": ["mlp"], "constant": True, "fresh": 1.0}]},
}
OWN = {
    "breadth": {"default": 64, "hf": "breadth", "tiny": 40},
    "swirl": {"default": {"theta": 100.0}, "hf": "swirl"},
    "lookers": {"default": 4, "hf": "lookers", "tiny": 4},
}


def _architecture(*parts: str) -> Architecture:
    """Llama with these parts unknown."""
    data = as_data(get("llama"))
    for part in parts:
        data.pop(part, None)
        data["names"].pop(part, None)
    if "activation" in parts:
        data["names"]["mlp"]["act"] = "act_fn"
    if "attention" in parts:
        data["positions"] = {"kind": "none"}
    data["hyperparameters"] |= {name: OWN[name] for part in parts for name in STUBS[part].get("reads", [])}
    data["unknown"] = {part: {"observed": OBSERVED, "where": WHERE, **STUBS[part]} for part in parts}
    return complete(parse_card(data, source="a test"))


def _imported(folder: Path, architecture: Architecture, name: str) -> ModuleType:
    path = folder / f"{name}.py"
    path.write_text(render_model(architecture, model_name(name)))
    return import_file(path, name)


def _small(config_class: Any, **more: Any) -> Any:
    return config_class(hidden_dim=16, num_layers=2, **more)


def _shapes_of(model_class: Any, config: Any) -> Any:
    return eqx.filter_eval_shape(model_class.init, Axis("vocab", 11), config, key=jrandom.PRNGKey(0))


def test_unknown_mlp_has_its_weights_under_their_names(tmp_path: Path) -> None:
    module = _imported(tmp_path, _architecture("mlp"), "unknown_mlp")
    config = _small(module.UnknownMlpConfig, num_heads=2, num_kv_heads=1, head_dim=8, breadth=24, attention_bias=True)
    model = _shapes_of(module.UnknownMlpLMHeadModel, config)
    shapes = {tensor.name: tensor.shape for tensor in hf_tensors(model)}
    path = "model.layers.1.mlp"
    assert {name.removeprefix(f"{path}."): shape for name, shape in shapes.items() if name.startswith(path)} == {
        "wide.weight": (24, 16),
        "wide.bias": (24,),
        "narrow.weight": (24, 16),
        "mix.0": (24, 3),
        "init": (),
    }
    stub = module.UnknownMlpMlp.init(config, key=jrandom.PRNGKey(0))
    assert float(stub.its_init.array) == 2.0
    assert 0.4 < float(hax.std(stub.mix_0).array) < 0.6
    with pytest.raises(NotImplementedError, match=rf"UnknownMlpMlp.__call__ is to be written: {OBSERVED}.*{WHERE}"):
        stub(hax.zeros(config.Embed))


def test_unknown_activation_stands_in_a_known_mlp(tmp_path: Path) -> None:
    module = _imported(tmp_path, _architecture("activation"), "unknown_act")
    config = _small(module.UnknownActConfig, num_heads=2, num_kv_heads=1, head_dim=8, intermediate_dim=24)
    model = _shapes_of(module.UnknownActLMHeadModel, config)
    mlp = module.UnknownActMlp.init(config, key=jrandom.PRNGKey(0))
    assert "model.layers.0.mlp.act_fn.slope" in {tensor.name for tensor in hf_tensors(model)}
    assert mlp.act_fn.slope.axes == (config.Mlp,)
    assert not hasattr(config, "activation")
    with pytest.raises(NotImplementedError, match="UnknownActActivation"):
        mlp(hax.zeros(config.Embed))


def test_unknown_attention_is_told_mask_and_positions(tmp_path: Path) -> None:
    architecture = _architecture("attention")
    module = _imported(tmp_path, architecture, "unknown_attn")
    config = _small(module.UnknownAttnConfig, intermediate_dim=24, lookers=2)
    assert config.AllOut.size == 48
    assert "def __call__(self, x: NamedArray, mask: AttentionMask, pos_ids: NamedArray)" in render_model(
        architecture, model_name("unknown_attn")
    )
    assert {"num_heads", "rope", "num_kv_heads"} & set(architecture.hyperparameters) == set()


@pytest.mark.parametrize("part", STUBS)
def test_card_comes_back_and_is_counted(part: str, tmp_path: Path) -> None:
    architecture = _architecture(part)
    assert parse_card(load_yaml(dump_card(architecture)), source="itself") == architecture
    name = f"counted_{part}"
    module = _imported(tmp_path, architecture, name)
    config = getattr(module, f"{model_name(name).camel}Config")()
    assert sum(count.total(100) for count in count_modules(architecture)) == config.total_trainable_params(100)
    assert "unknown: no experiment explains what it computes" in str(dataflow_of(architecture))


@pytest.mark.parametrize("part", STUBS)
def test_what_calls_a_stub_is_expected_to_fail_and_nothing_else(part: str, tmp_path: Path) -> None:
    source = render_tests(_architecture(part), model_name("odd"), find_project(tmp_path))
    marked = set(re.findall(r"@pytest\.mark\.xfail\(.*\)\n(?:@pytest[^@]*?\n)?def (test_\w+)", source))
    every = set(re.findall(r"^def (test_\w+)", source, re.MULTILINE))
    assert f"test_{part}_equals_reference" in marked
    assert marked >= {"test_logits_and_loss_equal_reference", "test_gradients_equal_reference"}
    proven = {"test_model_around_stubs_equals_reference", "test_gradients_around_stubs_equal_reference"}
    proven |= {"test_files_round_trip", "test_config_round_trip", "test_checkpoint_round_trip_is_bit_for_bit"}
    proven |= {"test_final_norm_and_head_equal_reference", "test_embeddings_equal_reference"}
    proven |= {
        f"test_{other}_equals_reference" for other in ("attention", "mlp") if {part, other} != {"activation", "mlp"}
    }
    assert proven - {f"test_{part}_equals_reference"} <= every - marked


def _of_two_kinds(**layer: Any) -> Architecture:
    """Llama with something unknown in the place of attention in every second layer."""
    data = as_data(get("llama"))
    depth = data["hyperparameters"]["num_layers"]["default"]
    kinds = [("conv", "full_attention")[index % 2] for index in range(depth)]
    data["hyperparameters"] |= {"mixer_types": {"default": kinds, "hf": "layer_types"}, "breadth": OWN["breadth"]}
    data["layer"] = {**data.get("layer", {}), "mixer": "conv", **layer}
    data["names"].setdefault("decoder_layer", {})["mixer"] = "short"
    weights = [{"name": "narrow.weight", "axes": ["breadth", "embed"], "fresh": "inputs", "mean": 2.0}]
    stub = {"observed": OBSERVED, "where": WHERE, "weights": weights, "axes": {"breadth": "breadth"}}
    data["unknown"] = {"mixer": {**stub, "reads": ["breadth"]}}
    return complete(parse_card(data, source="a test"))


def test_unknown_mixer_is_in_the_layers_that_the_list_says(tmp_path: Path) -> None:
    architecture = _of_two_kinds()
    module = _imported(tmp_path, architecture, "in_some")
    kinds = ("conv", "full_attention", "conv")
    config = module.InSomeConfig(
        hidden_dim=16,
        intermediate_dim=24,
        num_layers=3,
        num_heads=2,
        num_kv_heads=1,
        head_dim=8,
        breadth=48,
        mixer_types=kinds,
    )
    model = _shapes_of(module.InSomeLMHeadModel, config)
    names = {tensor.name for tensor in hf_tensors(model)}
    for layer, kind in enumerate(kinds):
        path = f"model.layers.{layer}"
        assert (f"{path}.short.narrow.weight" in names) == (kind == "conv")
        assert (f"{path}.self_attn.q_proj.weight" in names) == (kind != "conv")
    stub = module.InSomeMixer.init(config, key=jrandom.PRNGKey(0))
    assert 1.9 < float(hax.mean(stub.narrow_weight).array) < 2.1
    assert abs(float(hax.std(stub.narrow_weight).array) - (3 * 16) ** -0.5) < 0.02
    with pytest.raises(LevgenError, match="layer of the kind 'linear_attention' is not known"):
        dataclasses.replace(config, mixer_types=("linear_attention",) * 3).mixer_kinds  # noqa: B018
    counted = {count.module: count.times for count in count_modules(architecture)}
    depth = architecture.hyperparameters["num_layers"].default
    assert isinstance(depth, int)
    assert counted["model.layers.*.short.narrow.weight"] == counted["model.layers.*.self_attn.q_proj"] == depth // 2
    assert "short" in str(dataflow_of(architecture))


def test_tests_of_an_unknown_mixer_expect_only_what_needs_it_to_fail(tmp_path: Path) -> None:
    source = render_tests(_of_two_kinds(), model_name("in_some"), find_project(tmp_path))
    assert re.search(r"xfail[^@]*InSomeMixer[^@]*def test_mixer_equals_reference", source)
    assert re.search(r"xfail[^@]*InSomeMixer[^@]*def test_logits_and_loss_equal_reference", source)
    assert not re.search(r'InSomeMixer"\)\ndef test_(attention|mlp|decoder_layer)_equals_reference', source)


@pytest.mark.parametrize(
    ("layer", "said"), [({"added_bias": "last"}, "makes two kinds"), ({"mixer": "none"}, "goes with unknown.mixer")]
)
def test_layers_of_a_third_kind_are_refused(layer: dict[str, str], said: str) -> None:
    with pytest.raises(LevgenError, match=said):
        _of_two_kinds(**layer)


def _of_layers_alone() -> Architecture:
    """Llama whose layers are unknown as a whole."""
    data = as_data(get("llama"))
    for part in ("attention", "mlp", "layer"):
        data.pop(part, None)
    data["names"] = {part: names for part, names in data["names"].items() if part in ("embeddings", "transformer")}
    data["positions"] = {"kind": "none"}
    weights = [{"name": "mixer.narrow.weight", "axes": ["breadth", "embed"], "fresh": "initializer_range"}]
    stub = {"observed": OBSERVED, "where": WHERE, "weights": weights, "axes": {"breadth": "breadth"}}
    data["hyperparameters"]["breadth"] = OWN["breadth"]
    data["unknown"] = {"decoder_layer": {**stub, "linear": {"mixer.narrow": True}, "reads": ["breadth"]}}
    return complete(parse_card(data, source="a test"))


def test_unknown_layers_leave_all_around_them(tmp_path: Path) -> None:
    architecture = _of_layers_alone()
    module = _imported(tmp_path, architecture, "bare")
    config = module.BareConfig(hidden_dim=16, num_layers=2, breadth=24)
    assert not hasattr(module, "BareAttention")
    assert not hasattr(config, "num_heads")
    model = _shapes_of(module.BareLMHeadModel, config)
    shapes = {tensor.name: tensor.shape for tensor in hf_tensors(model)}
    assert shapes["model.layers.1.mixer.narrow.weight"] == (24, 16)
    assert "model.norm.weight" in shapes
    source = render_tests(architecture, model_name("bare"), find_project(tmp_path))
    assert re.search(r"xfail[^@]*BareDecoderLayer[^@]*def test_decoder_layer_equals_reference", source)
    assert "test_attention" not in source
    assert "test_mlp" not in source
    assert {count.module for count in count_modules(architecture)} >= {"model.layers.*.mixer.narrow.weight"}
    assert "unknown" in str(dataflow_of(architecture))


def test_layers_without_a_channel_block_hold_attention_alone(tmp_path: Path) -> None:
    architecture = complete(apply_settings(get("llama"), ["layer.mlp=false", "mlp.bias=false"]))
    module = _imported(tmp_path, architecture, "alone")
    config = module.AloneConfig(hidden_dim=16, num_layers=2, num_heads=2, num_kv_heads=1, head_dim=8)
    names = {tensor.name for tensor in hf_tensors(_shapes_of(module.AloneLMHeadModel, config))}
    own = {name.removeprefix("model.layers.0.") for name in names if name.startswith("model.layers.0.")}
    assert own == {"input_layernorm.weight", *(f"self_attn.{one}_proj.weight" for one in "qkvo")}
    assert not any("mlp" in count.module for count in count_modules(architecture))
    assert "test_mlp" not in render_tests(architecture, model_name("alone"), find_project(tmp_path))
