"""Experts spread over eight simulated devices give the loss and the gradients of one device."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from levgen.architecture.catalogue import get
from levgen.scaffold.complete import complete
from levgen.scaffold.names import model_name
from levgen.scaffold.port import render_model

# Mesh axes, then how computations lie on them, and parameters beside.
PLACES = {
    "experts": ({"data": 2, "expert": 4}, {"batch": "data", "expert": "expert"}, {"embed": "data"}),
    "inside-of-experts": (
        {"data": 2, "expert": 2, "model": 2},
        {"batch": "data", "expert": "expert", "expert_mlp": "model", "kv_head": "model"},
        {"embed": "data"},
    ),
    "tokens-alone": ({"data": 8}, {"batch": "data"}, {"embed": "data"}),
    "an-axis-that-does-not-divide": ({"data": 2, "expert": 4}, {"batch": "data", "expert": "expert"}, {}),
}

SCRIPT = """
import json, math, sys
from pathlib import Path

import equinox as eqx
import haliax as hax
import jax
import jax.numpy as jnp
from haliax import Axis
from haliax.partitioning import axis_mapping

from levgen.importing import import_file
from levgen.runtime import LmExample
from levgen.runtime.testing import relative_error

path, name, experts, sizes, compute, params = json.loads(sys.argv[1])
module = import_file(Path(path), name)
camel = next(key for key in vars(module) if key.endswith("LMHeadModel") and key != "LmHeadModel")
config = getattr(module, camel.removesuffix("LMHeadModel") + "Config")(
    max_seq_len=64, hidden_dim=32, expert_dim=24, num_layers=2, num_heads=4, num_kv_heads=2, head_dim=8,
    num_experts=experts, num_experts_per_tok=3, router_aux_loss_coef=0.3,
    **({"layer_types": ("sliding_attention", "full_attention")} if hasattr(module, "by_layer") else {}),
)
Vocab = Axis("vocab", 64)
model = eqx.filter_jit(getattr(module, camel).init)(Vocab, config, key=jax.random.PRNGKey(0))
model = jax.tree.map(lambda x: x + 0.2 * jax.random.normal(jax.random.PRNGKey(x.size), x.shape), model)
tokens = hax.random.randint(jax.random.PRNGKey(1), (Axis("batch", 8), Axis("position", 24)), 0, 64)


def run(model, tokens):
    def loss(model):
        return model.compute_next_token_loss(LmExample.causal(tokens)).scalar()

    return eqx.filter_value_and_grad(loss)(model)


expected, alone = eqx.filter_jit(run)(model, tokens)
axis_types = (jax.sharding.AxisType.Auto,) * len(sizes)
with jax.set_mesh(jax.make_mesh(tuple(sizes.values()), tuple(sizes), axis_types=axis_types)):
    of_params = compute | params
    fits = {axis.name for leaf in jax.tree.leaves(model, is_leaf=lambda x: isinstance(x, hax.NamedArray))
            for axis in leaf.axes if axis.name in of_params and axis.size % sizes[of_params[axis.name]]}
    spread = hax.shard(model, {name: along for name, along in of_params.items() if name not in fits})
    with axis_mapping(compute):
        lowered = eqx.filter_jit(run).lower(spread, hax.shard(tokens))
        loss, gradients = lowered.compile()(spread, hax.shard(tokens))
assert relative_error(loss, expected) < 1e-5, (loss, expected)
for ours, theirs in zip(jax.tree.leaves(gradients), jax.tree.leaves(alone), strict=True):
    assert relative_error(ours, theirs) < 1e-4, ours.shape
print("loss", relative_error(loss, expected))
"""


@pytest.mark.parametrize(
    ("model_type", "place"),
    [
        pytest.param("mixtral", "experts", marks=pytest.mark.slow),
        pytest.param("gpt_oss", "inside-of-experts", marks=pytest.mark.slow),
        pytest.param("mixtral", "tokens-alone", marks=pytest.mark.exhaustive),
        pytest.param("mixtral", "an-axis-that-does-not-divide", marks=pytest.mark.exhaustive),
    ],
)
def test_experts_over_devices_equal_one_device(model_type: str, place: str, tmp_path: Path) -> None:
    path = tmp_path / f"{model_type}.py"
    path.write_text(render_model(complete(get(model_type)), model_name(model_type)))
    experts = 6 if place == "an-axis-that-does-not-divide" else 8
    arguments = json.dumps([str(path), model_type, experts, *PLACES[place]])
    environment = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=8", "JAX_PLATFORMS": "cpu"}
    environment.pop("JAX_NUM_CPU_DEVICES", None)
    root = Path(__file__).parent.parent.parent
    environment["PYTHONPATH"] = os.pathsep.join([str(root), environment.get("PYTHONPATH", "")])
    run = subprocess.run([sys.executable, "-c", SCRIPT, arguments], capture_output=True, text=True, env=environment)
    assert run.returncode == 0, run.stderr
