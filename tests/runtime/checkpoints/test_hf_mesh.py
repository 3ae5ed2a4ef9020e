"""Loading and saving under a mesh of eight simulated devices, in a process that has them."""

import os
import subprocess
import sys
from pathlib import Path

from levgen.runtime.testing import skip_without_torch

skip_without_torch()

from references import CASES

SCRIPT = """
import sys

sys.path.insert(0, sys.argv[2])
import equinox as eqx
import haliax as hax
import jax
import numpy as np
from haliax.partitioning import axis_mapping
from references import CASES, TOKENS

from levgen.errors import LevgenError
from levgen.runtime import load_hf, save_hf

assert jax.device_count() == 8
mesh = jax.make_mesh((4, 2), ("data", "model"), axis_types=(jax.sharding.AxisType.Auto,) * 2)
split_in_layers = {"mlp": "model", "heads": "model", "kv_head": "model"}
mapping = {"embed": "data", **split_in_layers}
logits_of = eqx.filter_jit(lambda model: model(TOKENS).array)
for case, (ModelClass, _) in CASES.items():
    folder = f"{sys.argv[1]}/{case}"
    whole = load_hf(ModelClass, folder + "/theirs")
    save_hf(whole, folder + "/whole")
    expected = np.asarray(logits_of(whole))
    with jax.set_mesh(mesh):
        model = load_hf(ModelClass, folder + "/theirs", axis_mapping=mapping)
        for array, same in zip(jax.tree.leaves(model), jax.tree.leaves(whole), strict=True):
            assert len(array.sharding.device_set) == 8
            assert np.array_equal(array, same)
        split = [x for x in jax.tree.leaves(model) if not x.sharding.is_fully_replicated]
        assert len(split) > 0.9 * len(jax.tree.leaves(model)), len(split)
        assert min(x.addressable_shards[0].data.size / x.size for x in split) == 1 / 8
        with axis_mapping({"batch": "data", **split_in_layers}):
            logits = np.asarray(logits_of(model))
        error = np.abs(logits - expected).max() / np.abs(expected).max()
        assert error < 1e-5, error
        save_hf(model, folder + "/sharded")
        save_hf(model, folder + "/shards", max_shard_size="40KB")
    again = load_hf(ModelClass, folder + "/shards")
    assert all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(again), jax.tree.leaves(whole), strict=True))
    print(case, "relative error", error)
with jax.set_mesh(mesh):
    for bad in ({"layer": "data"}, {"embed": "data", "mlp": "data"}, {"embed": "nowhere"}):
        try:
            load_hf(ModelClass, folder + "/theirs", axis_mapping=bad)
        except LevgenError as caught:
            assert f"can't be sharded by {bad}" in str(caught), caught
        else:
            raise AssertionError(bad)
"""


def test_sharded_arrays_load_compute_and_save_as_whole_ones(tmp_path):
    for case, (_, make) in CASES.items():
        make().save_pretrained(tmp_path / case / "theirs")
    here = Path(__file__).parents[1]
    environment = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=8", "JAX_PLATFORMS": "cpu"}
    environment.pop("JAX_NUM_CPU_DEVICES", None)
    environment["PYTHONPATH"] = os.pathsep.join([str(here.parent.parent), environment.get("PYTHONPATH", "")])
    command = [sys.executable, "-c", SCRIPT, str(tmp_path), str(here)]
    run = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert run.returncode == 0, run.stderr
    for case in CASES:
        for name in ("config.json", "model.safetensors"):
            sharded, whole = (tmp_path / case / how / name for how in ("sharded", "whole"))
            assert sharded.read_bytes() == whole.read_bytes()
