"""An MLP beside experts: the layer adds it to what they give, whatever else the layer's wiring is."""

import sys
from types import ModuleType
from typing import Any

import equinox as eqx
import haliax as hax
import jax
import pytest
from haliax import Axis

from levgen.architecture.catalogue import get
from levgen.architecture.schema import Architecture
from levgen.architecture.settings import apply_settings
from levgen.errors import LevgenError
from levgen.runtime import AttentionMask
from levgen.runtime.testing import assert_close
from levgen.scaffold.complete import complete
from levgen.scaffold.count import count_modules
from levgen.scaffold.names import model_name
from levgen.scaffold.port import render_model

BESIDE = ("moe.layers=every", "moe.shared=plain", "moe.shared_beside=true")
SIZES = {
    "hidden_dim": 12,
    "expert_dim": 10,
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "num_layers": 1,
    "num_heads": 2,
    "num_kv_heads": 1,
    "head_dim": 6,
}


def _architecture(*settings: str) -> Architecture:
    return complete(apply_settings(get("llama"), (*BESIDE, *settings)))


def _of_width(width: int, *settings: str) -> Architecture:
    return complete(apply_settings(_architecture(*settings), [f"shared_expert_dim={width}"]))


def _layer(architecture: Architecture, width: int) -> Any:
    module = ModuleType("beside")
    sys.modules["beside"] = module  # dataclasses look their own module up
    exec(compile(render_model(architecture, model_name("beside")), "beside.py", "exec"), vars(module))
    config = module.BesideConfig(**SIZES, shared_expert_dim=width)
    return module.BesideDecoderLayer.init(config, key=jax.random.PRNGKey(0))


def _called(layer: Any, x: hax.NamedArray) -> Any:
    return eqx.filter_jit(layer)(x, AttentionMask.causal(), hax.arange(x.resolve_axis("position")))


@pytest.mark.parametrize(
    "settings",
    [
        ("layer.norms=post",),
        ("layer.norms=sandwich", "layer.residual_scale=0.5"),
        ("layer.parallel=separate", "moe.shared_optional=true"),
        ("layer.parallel=shared", "layer.added_bias=every"),
    ],
    ids=" ".join,
)
def test_a_layer_adds_what_both_give(settings: tuple[str, ...]) -> None:
    """It is as one with a mixture that gives the sum of both, beside an MLP that gives zeros."""
    layer = _layer(_architecture(*settings), width=8)
    x = hax.random.normal(jax.random.PRNGKey(1), (Axis("position", 5), Axis("embed", 12)))
    moe, beside = layer.mlp, layer.shared_mlp

    class Sum(eqx.Module):
        def __call__(self, given: hax.NamedArray) -> hax.NamedArray:
            return moe(given) + beside(given)

    summed = eqx.tree_at(lambda one: one.mlp, layer, Sum())
    nothing = hax.zeros_like(beside.down_proj.weight)
    summed = eqx.tree_at(lambda one: one.shared_mlp.down_proj.weight, summed, nothing)
    assert_close(_called(layer, x), _called(summed, x), 1e-6, "the sum in one module")


def test_side_by_side_a_bias_is_added_too() -> None:
    source = render_model(_architecture("layer.parallel=shared", "layer.added_bias=every"), model_name("beside"))
    assert "attended = self.self_attn(h, mask, pos_ids) + self.added_bias" in source


def test_a_width_of_0_is_none() -> None:
    architecture = _architecture("moe.shared_optional=true")
    assert _layer(architecture, width=0).shared_mlp is None
    none, some = (_of_width(n, "moe.shared_optional=true") for n in (0, 8))
    names = [{count.module for count in count_modules(one)} for one in (none, some)]
    assert {name.rpartition("layers.*.")[2] for name in names[1] - names[0]} == {
        "shared_mlp.gate_proj",
        "shared_mlp.up_proj",
        "shared_mlp.down_proj",
    }


def test_where_no_answer_makes_it_0_a_width_is_needed() -> None:
    with pytest.raises(LevgenError, match="shared_expert_dim: expected a positive number"):
        _of_width(0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("moe.shared=gated",), "moe.shared_beside=true is known with moe.shared=plain and moe.layers=every"),
        (("moe.layers=after",), "moe.shared_beside=true is known with moe.shared=plain and moe.layers=every"),
        (("moe.shared_beside=false", "moe.shared_optional=true"), "moe.shared_optional=true is known of"),
        (("moe.shared_multiple=2", "moe.shared_optional=true"), "moe.shared_optional=true is known of"),
    ],
)
def test_what_is_not_known_of_it_is_refused(settings: tuple[str, ...], message: str) -> None:
    with pytest.raises(LevgenError, match=message):
        _architecture(*settings)
