"""Layers with experts and layers without, and what else is decided by which of them a layer is."""

import sys
from types import ModuleType

import equinox as eqx
import haliax as hax
import jax
import numpy as np
import pytest
from haliax import Axis

from levgen.architecture.catalogue import get
from levgen.architecture.settings import apply_settings
from levgen.errors import LevgenError
from levgen.scaffold.complete import complete
from levgen.scaffold.names import model_name
from levgen.scaffold.port import render_model

WINDOW, FULL = "sliding_attention", "full_attention"


def _rendered(*settings: str) -> ModuleType:
    architecture = complete(apply_settings(get("llama"), settings))
    module = ModuleType("two_kinds")
    sys.modules["two_kinds"] = module  # dataclasses look their own module up
    exec(compile(render_model(architecture, model_name("two_kinds")), "two_kinds.py", "exec"), vars(module))
    return module


@pytest.mark.parametrize(
    ("step", "without", "expected"),
    [
        (1, (), "sssss"),
        (2, (), "dsdsd"),
        (3, (), "ddsdd"),
        (1, (0, 3), "dssds"),
        (2, (1, 2), "dddsd"),
    ],
)
def test_the_last_of_every_few_layers_has_experts(step: int, without: tuple[int, ...], expected: str) -> None:
    module = _rendered("moe.layers=stepped")
    config = module.TwoKindsConfig(num_layers=5, sparse_step=step, dense_layers=without)
    assert "".join(kind[0] for kind in config.mlp_layer_types) == expected


def test_layers_whose_numbers_are_listed_have_experts() -> None:
    module = _rendered("moe.layers=numbered")
    config = module.TwoKindsConfig(num_layers=5, sparse_layers=(1, 4, 9))
    assert "".join(kind[0] for kind in config.mlp_layer_types) == "dsdds"


def test_layers_without_a_window_rotate_where_they_have_no_experts() -> None:
    module = _rendered("moe.layers=listed", "attention.window=by_layer", "positions.layers=windowed_or_dense")
    config = module.TwoKindsConfig(
        num_layers=4, layer_types=(FULL, WINDOW, FULL, WINDOW), mlp_layer_types=("dense", "dense", "sparse", "sparse")
    )
    assert config.rotates.array.tolist() == [True, True, False, True]


LOCAL = (
    "num_heads=8",
    "num_kv_heads=2",
    "attention.window=by_layer",
    "attention.local_kv_multiple=2",
    "attention.value_dim=free",
)
SINKS = ("attention.sinks=true", "attention.sinks_in=windowed")


@pytest.mark.parametrize("settings", [(), ("moe.layers=listed",)], ids=["alike", "some with experts"])
def test_layers_with_a_window_have_heads_and_sinks_of_their_own(settings: tuple[str, ...]) -> None:
    module = _rendered(*LOCAL, *SINKS, *settings)
    sizes = {
        "hidden_dim": 12,
        "intermediate_dim": 10,
        "num_layers": 5,
        "num_heads": 8,
        "num_kv_heads": 2,
        "head_dim": 6,
    }
    sizes |= {"num_experts": 4, "num_experts_per_tok": 2, "expert_dim": 6} if settings else {}
    sizes |= {"mlp_layer_types": ("dense", *["sparse"] * 4)} if settings else {}
    config = module.TwoKindsConfig(
        **sizes, v_head_dim=4, layer_types=(FULL, WINDOW, WINDOW, FULL, WINDOW), sliding_window=3
    )
    model = module.TwoKindsLMHeadModel.init(Axis("vocab", 19), config, key=jax.random.PRNGKey(0))
    tokens = hax.named(np.arange(14) % 19, "position")
    assert bool(hax.all(hax.isfinite(eqx.filter_jit(lambda m, t: m(t))(model, tokens))))
    for kind, layer in zip(config.layer_types, model.transformer.layers.unstacked(), strict=True):
        attention = layer.self_attn
        keys = {axis.name: axis.size for axis in attention.k_proj.weight.axes}
        assert keys["kv_head"] == (4 if kind == WINDOW else 2)
        assert (attention.sinks is not None) == (kind == WINDOW)
        assert {axis.name: axis.size for axis in attention.v_proj.weight.axes}["v_head_size"] == 4


def test_heads_that_key_heads_with_a_window_do_not_divide_are_refused() -> None:
    with pytest.raises(
        LevgenError, match=r"num_heads \(6\) must be a multiple of the 4 key heads in layers with a window"
    ):
        complete(apply_settings(get("llama"), [*LOCAL, "num_heads=6", "num_kv_heads=2"]))
