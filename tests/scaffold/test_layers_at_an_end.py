"""Layers of which the first or the last is unlike the others: what each holds in a checkpoint, and in which layer."""

import sys
from types import ModuleType

import equinox as eqx
import haliax as hax
import jax
import pytest

from levgen.architecture.catalogue import get
from levgen.architecture.settings import apply_settings
from levgen.runtime.checkpoints.names import hf_tensors
from levgen.scaffold.complete import complete
from levgen.scaffold.names import model_name
from levgen.scaffold.port import render_model

DEPTH = 3
NAMES = {
    "attention_norm": "input_layernorm.weight",
    "mlp_norm": "post_attention_layernorm.weight",
    "added_bias": "added_bias",
}
HELD = {"every": [0, 1, 2], "first": [0], "last": [2], "but_first": [1, 2], "but_last": [0, 1], "none": []}


def _rendered(*settings: str) -> ModuleType:
    architecture = complete(apply_settings(get("llama"), settings))
    module = ModuleType("at_an_end")
    sys.modules["at_an_end"] = module  # dataclasses look their own module up
    exec(compile(render_model(architecture, model_name("at_an_end")), "at_an_end.py", "exec"), vars(module))
    return module


@pytest.mark.parametrize(
    "settings",
    [
        {"attention_norm": "but_first"},
        {"attention_norm": "last", "parallel": "shared"},
        {"attention_norm": "but_last", "mlp_norm": "last", "parallel": "separate"},
        {"mlp_norm": "first", "norms": "sandwich"},
        {"added_bias": "last", "residual_scale": "0.5"},
        {"added_bias": "but_first", "attention_norm": "first", "norms": "sandwich"},
        {"added_bias": "every", "norms": "post"},
    ],
    ids=str,
)
def test_layers_hold_what_the_answers_say(settings: dict[str, str]) -> None:
    module = _rendered(*(f"layer.{answer}={value}" for answer, value in settings.items()))
    config = module.AtAnEndConfig(
        max_seq_len=16, hidden_dim=16, intermediate_dim=24, num_layers=DEPTH, num_heads=2, num_kv_heads=1, head_dim=8
    )
    Vocab, tokens = hax.Axis("vocab", 11), hax.arange(config.Pos)

    def make() -> object:
        model = module.AtAnEndLMHeadModel.init(Vocab, config, key=jax.random.PRNGKey(0))
        return model(tokens), model

    logits, model = eqx.filter_eval_shape(make)
    held = {tensor.name for tensor in hf_tensors(model)}
    assert logits.axes == (config.Pos, Vocab)
    for answer, name in NAMES.items():
        which = settings.get(answer, "none" if answer == "added_bias" else "every")
        layers = [index for index in range(DEPTH) if f"model.layers.{index}.{name}" in held]
        if settings.get("parallel") == "shared" and answer == "mlp_norm":
            assert not layers
        else:
            assert layers == HELD[which], answer


@pytest.mark.parametrize(("which", "there"), [("first", 1), ("last", 1), ("but_first", 0), ("but_last", 0)])
def test_an_only_layer_is_the_first_and_the_last(which: str, there: bool) -> None:
    module = _rendered(f"layer.added_bias={which}")
    config = module.AtAnEndConfig(num_layers=1, hidden_dim=16)

    def make() -> object:
        return module.AtAnEndTransformer.init(config, key=jax.random.PRNGKey(0)).layers.get_layer(0)

    assert (eqx.filter_eval_shape(make).added_bias is not None) == there
