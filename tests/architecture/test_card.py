"""Cards: what is read is written back the same, and what is wrong in one is said by name."""

from pathlib import Path

import pytest
import yaml

from levgen.architecture.card import as_data, dump_card, parse_card, read_card
from levgen.architecture.catalogue import find, get, known_types, near_types
from levgen.errors import LevgenError
from levgen.scaffold.complete import complete


@pytest.mark.parametrize("model_type", known_types())
def test_card_round_trips(model_type: str) -> None:
    card = get(model_type)
    assert parse_card(yaml.safe_load(dump_card(card)), source="dumped") == card
    assert dump_card(card) == dump_card(card)


@pytest.mark.parametrize("model_type", known_types())
def test_card_holds_just_what_its_parts_need(model_type: str) -> None:
    """A hyperparameter that no part reads, or one that is missing, would make a config that lies."""
    card = get(model_type)
    completed = complete(card)
    assert completed.hyperparameters.keys() == card.hyperparameters.keys()
    assert completed.reference == card.reference
    assert all(parameter.hf for parameter in card.hyperparameters.values())


def test_card_of_another_spelling_is_found() -> None:
    assert find("gpt-2") is None
    assert get("llama") == find("llama")
    assert find("../architectures/llama") is None


def test_unknown_type_names_the_nearest() -> None:
    assert near_types("lllama") == ["llama"]
    with pytest.raises(LevgenError) as caught:
        get("lllama")
    assert "no card for the model type 'lllama'" in caught.value.message
    assert "did you mean 'llama'?" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"attention": {"qk_nrom": "head"}}, "attention.qk_nrom: no such answer; did you mean 'qk_norm'?"),
        ({"atention": {}}, "atention: no such answer; did you mean 'attention'?"),
        ({"mlp": {"kind": "gatd"}}, "mlp.kind: expected 'gated' or 'plain', got 'gatd'"),
        ({"mlp": {"kind": "plain", "projections": "concat"}}, "a plain MLP has no gate"),
        (
            {"layer": {"norms": "post", "parallel": "shared"}},
            "parallel=shared is known with layer.norms=pre only",
        ),
        (
            {"layer": {"norms": "output", "attention_norm": "but_first"}},
            "layer.attention_norm is of norms before a block: layer.norms=pre or sandwich",
        ),
        (
            {"layer": {"attention_norm": "but_first", "added_bias": "last"}},
            "at one end of the stack, and not at both: layer.attention_norm=but_first and layer.added_bias=last",
        ),
        (
            {"layer": {"added_bias": "first"}, "moe": {"layers": "after"}},
            "moe.layers=after makes two kinds of layers, and layer.added_bias would make more",
        ),
        (
            {"layer": {"mlp_output_norm": "sparse"}},
            "layer.mlp_output_norm=sparse is of layers with experts: it needs moe.layers",
        ),
        (
            {"layer": {"mlp_output_norm": "sparse", "norms": "sandwich"}, "moe": {"layers": "after"}},
            "layer.mlp_output_norm=sparse is known with layer.norms=pre and layer.parallel=no",
        ),
        (
            {"moe": {"layers": "every", "norm_order": 0.5}},
            "moe.norm_order is of the norm that weights are divided by: it needs moe.normalized=true",
        ),
        (
            {"moe": {"layers": "every", "stored": "flat", "bias": True}},
            "moe.bias, transposed and interleaved are known",
        ),
        ({"positions": {"layers": "windowed_or_dense"}}, "tells layers apart by window and experts: it needs "),
        ({"attention": {"qk_norm_layers": "rotating"}}, "is of a norm on queries and keys: it needs attention.qk_norm"),
        (
            {"attention": {"qk_norm": "head", "qk_norm_layers": "rotating"}},
            "attention.qk_norm_layers=rotating tells layers apart by rotation: positions.layers",
        ),
        ({"attention": {"local": "chunk"}}, "is of layers that see a part of the keys: attention.window"),
        ({"positions": {"temperature": "unturned"}}, "is of layers that don't rotate: it needs positions.layers"),
        ({"positions": {"temperature_switch": False}}, "switches a temperature on: it needs positions.temperature"),
        ({"head_transform": {"norm": False}}, "head_transform.norm needs a transform: head_transform.kind=dense"),
        ({"initialization": {"head_scaled": True, "head_std": 0.1}}, "are both about the head"),
        ({"norm": {"kind": "rms", "bias": True}}, "norm.bias=true is known for norm.kind=layer only"),
        ({"title": 'Lla"ma'}, "is not plain text"),
        (
            {"attention": {"heads": "latent", "sinks": True}},
            "attention.sinks=true is not known with attention.heads=latent: leave it at false",
        ),
        (
            {"attention": {"heads": "latent", "value_scale": 0.5}},
            "attention.value_scale=0.5 is not known with attention.heads=latent: leave it at none",
        ),
        ({"attention": {"gate_bias": True}}, "attention.gate_bias=true needs a gate: attention.gate=sigmoid"),
        ({"attention": {"sinks_in": "windowed"}}, "attention.sinks_in=windowed is of sinks"),
        ({"attention": {"local_kv_multiple": 2}}, "they need attention.window=by_layer, and it is none"),
        (
            {"attention": {"local_kv_multiple": 2, "window": "by_layer", "projections": "concat"}},
            "attention.local_kv_multiple is known with attention.heads=grouped, projections=separate and no norm",
        ),
        (
            {"attention": {"value_dim": "free", "gate": "sigmoid"}},
            "attention.value_dim=free is known with attention.projections=separate, and neither a norm nor a gate",
        ),
        (
            {"attention": {"local_kv_multiple": 2, "window": "by_layer"}, "layer": {"added_bias": "last"}},
            "make two kinds of layers, and layer.added_bias would make more",
        ),
        ({"layer": {"sums": "averaged", "parallel": "shared"}}, "layer.sums=averaged is known with blocks one after"),
        ({"layer": {"sums": "averaged", "residual_scale": 0.5}}, "layer.sums=averaged is known with blocks one after"),
        ({"positions": {"growth_length": 2048.0}}, "growth_length and growth_exponent are given together"),
        (
            {"positions": {"growth_length": 2048.0, "growth_exponent": 0.1}},
            "positions.growth_length is of layers that don't rotate: positions.layers is not every",
        ),
        ({"attention": {"heads": "latent"}, "positions": {"kind": "alibi"}}, "it needs positions.kind=rotary"),
        ({"attention": {"latent_norm_eps": 1e-6}}, "belongs to attention.heads=latent, and attention.heads is grouped"),
        ({"attention": {"indexer": "every"}}, "attention.indexer needs queries of low rank, attention.heads=latent"),
        (
            {"attention": {"heads": "latent", "indexer_layout": "interleaved"}},
            "attention.indexer_layout needs layers with an indexer: attention.indexer",
        ),
        ({"attention": {"query_latent": "joined"}}, "attention.query_latent belongs to attention.heads=latent"),
        (
            {"attention": {"heads": "latent", "gate": "sigmoid"}},
            "attention.gate=sigmoid is known with attention.heads=latent in the matrix of queries only",
        ),
        (
            {"attention": {"gate": "sigmoid", "gate_in": "queries"}},
            "attention.gate_in=queries is known with attention.heads=latent, a gate, gate_per=channel",
        ),
        (
            {
                "attention": {"heads": "latent", "query_latent": "joined"},
                "hyperparameters": {"q_lora_rank": {"default": None, "optional": True}},
            },
            "attention.query_latent reads queries of low rank, and hyperparameters.q_lora_rank may be null",
        ),
        ({"norm_gate": {"activation": "gelu"}}, "norm_gate.activation is of a gate: it needs norm_gate.attention"),
        ({"norm_gate": {"mlp": "sparse"}}, "norm_gate.mlp=sparse tells layers apart by experts: it needs moe.layers"),
        (
            {"norm_gate": {"attention": "every"}, "layer": {"norms": "output"}},
            "norm_gate.attention=every is on a norm that no layer has: see layer.norms",
        ),
        (
            {"norm_gate": {"mlp": "every"}, "layer": {"parallel": "shared"}},
            "norm_gate.mlp=every is on a norm that no layer has: see layer.norms",
        ),
        (
            {"moe": {"layers": "every", "groups": True, "other_groups": "zero"}},
            "moe.other_groups=zero differs from never where some count as less than 0: it needs moe.groups=true",
        ),
        ({"derived": {"kinds": "['a b'] * n"}}, "is not a sum or product of HF fields"),
        ({"derived": {"kinds": "['a'] * n'"}}, "is not a sum or product of HF fields"),
        ({"attention": {"scale": "hidden_dim**-0.5 * "}}, "is not a number, a hyperparameter, or a power of one"),
        ({"positions": {"kind": "learned", "offset": 99}}, "positions.offset: expected int <= 16, for 99"),
        ({"norm": {"eps": None}}, "norm.eps: expected float | str, got null"),
        ({"attention": 3}, "attention: expected names with values, got 3"),
        ({"stubs": ["foo"]}, "stubs.0: expected 'attention', 'mlp', "),
        ({"head": {"bias": "Tie"}}, "head.bias: 'Tie' is not true, false or the name of a hyperparameter"),
        ({"title": "x" * 501}, "title: expected at most 500 characters, got 501"),
        ({"hyperparameters": {"Dim": {"default": 1}}}, "hyperparameters.Dim: 'Dim' is not a lower-case identifier"),
        ({"attention": {"scale": "__import__('os')"}}, "is not a number, a hyperparameter, or a power of one"),
    ],
)
def test_wrong_answer_is_explained(change: dict[str, object], message: str) -> None:
    with pytest.raises(LevgenError) as caught:
        parse_card({**as_data(get("llama")), **change}, source="the card")
    assert message in caught.value.message


def test_all_problems_are_said_at_once() -> None:
    wrong = {"attention": {"qk_nrom": "head", "clip": []}, "mlp": {"kind": "gatd"}, "papers": [{"title": "A"}]}
    with pytest.raises(LevgenError) as caught:
        parse_card({**as_data(get("llama")), **wrong}, source="the card")
    places = [line.partition(":")[0].strip() for line in caught.value.message.splitlines()[1:]]
    assert sorted(places) == ["attention.clip", "attention.qk_nrom", "mlp.kind", "papers.0"]


def test_text_that_is_no_card_is_refused(tmp_path: Path) -> None:
    for name, text in {"broken": "a: [", "list": "- 1", "empty": ""}.items():
        path = tmp_path / f"{name}.yaml"
        path.write_text(text)
        with pytest.raises(LevgenError, match=name):
            read_card(path)
