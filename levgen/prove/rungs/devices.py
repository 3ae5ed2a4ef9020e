"""devices: sharded over 8 simulated devices, logits and gradients are those of one."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import numpy as np
from haliax import Axis, NamedArray
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from levgen.prove.bench import Bench, logits_of, random_tokens
from levgen.prove.outcome import MODULE, Outcome, measured, skipped
from levgen.prove.rungs.forward import loss_of
from levgen.runtime.testing import gradients_by_hf_name, relative_error, without_rounding

DATA, MODEL = 4, 2
# Axis name -> axis of the mesh: parameters are cut along both, as in training with FSDP and tensor parallelism.
_MAPPING = {
    "batch": "data",
    "embed": "data",
    **dict.fromkeys(("mlp", "shared_mlp", "expert", "heads", "kv_head", "vocab"), "model"),
}
# Sums come out in another order where they are cut.
_GRADIENT = 10 * MODULE


def devices(bench: Bench) -> Outcome:
    """A mesh of 4 x 2, over axes that divide."""
    count = len(jax.devices())
    if count < DATA * MODEL:
        few = "is one device" if count == 1 else f"are {count} devices"
        return skipped(f"there {few}: XLA_FLAGS=--xla_force_host_platform_device_count=8 makes 8 of a CPU")
    mesh = Mesh(np.asarray(jax.devices()[: DATA * MODEL]).reshape(DATA, MODEL), ("data", "model"))
    tokens = random_tokens(batch=Axis("batch", 2 * DATA))
    model, cut = bench.fresh, _sharded(bench.fresh, mesh)
    spread = sum(not leaf.array.sharding.is_fully_replicated for leaf in _named(cut))
    errors = {"logits": relative_error(logits_of(cut, _sharded(tokens, mesh)), logits_of(model, tokens))}
    ours, alone = _gradients(cut, _sharded(tokens, mesh)), _gradients(model, tokens)
    gradients = {name: relative_error(ours[name], gradient) for name, gradient in alone.items()}
    scaled = {f"gradient of {name}, / 10": error * MODULE / _GRADIENT for name, error in gradients.items()}
    outcome = measured({**errors, **scaled}, MODULE)
    worst = max(gradients.values())
    figure = f"logits {errors['logits']:.1e}, gradients {worst:.1e}; {spread} parameters cut over {DATA} x {MODEL}"
    return dataclasses.replace(outcome, figure=figure)


def _sharded(tree: Any, mesh: Mesh) -> Any:
    def place(leaf: Any) -> Any:
        if not isinstance(leaf, NamedArray):
            return leaf
        sizes = dict(mesh.shape)
        spec: list[str | None] = []
        for axis in leaf.axes:
            along = _MAPPING.get(axis.name)
            fits = along is not None and along not in spec and axis.size % sizes[along] == 0
            spec.append(along if fits else None)
        return NamedArray(jax.device_put(leaf.array, NamedSharding(mesh, PartitionSpec(*spec))), leaf.axes)

    return jax.tree.map(place, tree, is_leaf=lambda leaf: isinstance(leaf, NamedArray))


def _named(tree: Any) -> list[NamedArray]:
    found = jax.tree.leaves(tree, is_leaf=lambda leaf: isinstance(leaf, NamedArray))
    return [leaf for leaf in found if isinstance(leaf, NamedArray) and eqx.is_array(leaf.array)]


def _gradients(model: Any, tokens: NamedArray) -> dict[str, Any]:
    return without_rounding(gradients_by_hf_name(_gradient(model, tokens)))


@eqx.filter_jit
@eqx.filter_grad
def _gradient(model: Any, tokens: NamedArray) -> jax.Array:
    value: jax.Array = loss_of(model, tokens)
    return value
