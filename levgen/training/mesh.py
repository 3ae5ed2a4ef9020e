"""Devices as a grid of named axes, and how arrays lie on it: FSDP, tensor parallelism and data parallelism by name.

The names, defaults and rules are Levanter's (`levanter.utils.mesh.MeshConfig`); one process, one slice.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from haliax import NamedArray
from haliax.partitioning import ResourceMapping
from haliax.util import is_named_array
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from levgen.errors import LevgenError, did_you_mean
from levgen.training.schema import MeshConfig

_AXES = {"data": -1, "replica": 1, "model": 1}
_SLICE_AXES = {"replica_dcn": -1}
_SHARED = {"mlp": "model", "heads": "model"}
_BATCH = ("replica_dcn", "replica", "data")


class MeshError(LevgenError):
    """A mesh that the devices don't make up, or that arrays can't be split over. `key` is that of `trainer.mesh`."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


@dataclass(frozen=True)
class Placement:
    """A mesh, and the mesh axes along which each named axis lies: of what is computed, and of parameters."""

    mesh: Mesh
    compute: ResourceMapping
    params: ResourceMapping

    def active(self) -> AbstractContextManager[Any]:
        """The context that everything on the mesh is compiled in."""
        return jax.set_mesh(self.mesh)  # type: ignore[no-any-return, unused-ignore]

    @property
    def batch_devices(self) -> int:
        """Over how many devices a batch is spread."""
        return math.prod(self.mesh.shape[name] for name in _names(self.compute["batch"]))

    @property
    def replicated(self) -> NamedSharding:
        return NamedSharding(self.mesh, PartitionSpec())

    @property
    def of_batch(self) -> NamedSharding:
        """Of an array whose first axis is the batch."""
        return NamedSharding(self.mesh, PartitionSpec(_names(self.compute["batch"])))

    def shardings(self, tree: Any) -> Any:
        """The sharding of each array of `tree`: named ones by `params`, others whole on each device."""
        leaves = [
            NamedSharding(self.mesh, PartitionSpec(*(self.params.get(axis.name) for axis in leaf.axes)))
            if isinstance(leaf, NamedArray)
            else self.replicated
            for leaf in jax.tree.leaves(tree, is_leaf=is_named_array)
        ]
        return jax.tree.unflatten(jax.tree.structure(tree), leaves)

    def check(self, tree: Any) -> None:
        """Raises `MeshError` where a named array of `tree` can't be split as `params` says."""
        for problem in dict.fromkeys(self._problems(tree)):
            raise MeshError("param_mapping", problem)

    def _problems(self, tree: Any) -> Iterator[str]:
        for array in jax.tree.leaves(tree, is_leaf=is_named_array):
            if not isinstance(array, NamedArray):
                continue
            used = Counter(name for axis in array.axes for name in _names(self.params.get(axis.name, ())))
            twice = [name for name, count in used.items() if count > 1]
            if twice:
                yield f"an array over {_shown(array)} would be split twice along the mesh axis {twice[0]!r}"
            for axis in array.axes:
                parts = math.prod(self.mesh.shape[name] for name in _names(self.params.get(axis.name, ())))
                if axis.size % parts:
                    more = math.ceil(axis.size / parts) * parts
                    advice = f"; data.vocab_size: {more} can" if axis.name == "vocab" else ""
                    yield f"the axis {axis.name!r} of size {axis.size} can't be split over {parts} devices{advice}"


def make_placement(config: MeshConfig, devices: Sequence[Any]) -> Placement:
    """The mesh that `config` makes of `devices`.

    Raises:
        MeshError: sizes that don't make up the number of devices, or a mapping to an axis that the mesh hasn't got.
    """
    sizes = _sizes(config, len(devices))
    shared = {**_SHARED, **config.shared_mapping}
    mappings: dict[str, Mapping[str, str | list[str] | tuple[str, ...]]] = {
        "shared_mapping": shared,
        "compute_mapping": {"batch": _BATCH, **shared, **config.compute_mapping},
        "param_mapping": {**shared, **config.param_mapping},
    }
    for key, mapping in mappings.items():
        for logical, physical in mapping.items():
            for name in _names(physical):
                if name not in sizes:
                    hint = did_you_mean(name, sizes) or f"axes: {', '.join(sizes)}"
                    raise MeshError(key, f"{logical} is mapped to {name!r}, which the mesh hasn't got; {hint}")
    mesh = Mesh(np.asarray(devices).reshape(*sizes.values()), tuple(sizes), axis_types=(AxisType.Auto,) * len(sizes))
    compute, params = (
        {logical: _names(physical) for logical, physical in mappings[key].items()}
        for key in ("compute_mapping", "param_mapping")
    )
    return Placement(mesh, compute, params)


def _sizes(config: MeshConfig, count: int) -> dict[str, int]:
    """The size of each mesh axis, in order; together they are `count` devices."""
    slices = {**_SLICE_AXES, **config.dcn_axes}
    both = sorted(set(_AXES | config.axes) & set(slices))
    if both:
        raise MeshError("dcn_axes", f"{both[0]!r} is an axis within a slice and of slices: give one of the two a name")
    many = [name for name, size in slices.items() if size > 1]
    if many:
        raise MeshError("dcn_axes", f"{many[0]}: {slices[many[0]]}, and the local engine has one slice of devices: 1")
    axes = {**_AXES, **config.axes}
    rest = [name for name, size in axes.items() if size == -1]
    if len(rest) == 2 and "data" not in config.axes:
        axes["data"] = 1
        rest.remove("data")
    if len(rest) > 1:
        raise MeshError("axes", f"only one axis may be -1, got {' and '.join(rest)}")
    known = math.prod(size for size in axes.values() if size != -1)
    if count % known or (not rest and known != count):
        shown = ", ".join(f"{name}: {size}" for name, size in axes.items() if size != 1)
        raise MeshError("axes", f"{{{shown}}} can't be made of {_counted(count)}")
    if rest:
        axes[rest[0]] = count // known
    return {**axes, **dict.fromkeys(slices, 1)}


def _names(physical: str | Sequence[str]) -> tuple[str, ...]:
    return (physical,) if isinstance(physical, str) else tuple(physical)


def _shown(array: NamedArray) -> str:
    return ", ".join(f"{axis.name}: {axis.size}" for axis in array.axes)


def _counted(count: int) -> str:
    return "1 device" if count == 1 else f"{count} devices"
