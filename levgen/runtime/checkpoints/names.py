"""Which tensors a checkpoint of a model has: their names, their shapes, and where each lies in the model's arrays.

The rules are those of `haliax.state_dict.to_torch_compatible_state_dict`, followed on shapes alone:
`_state_dict_key_map` renames fields, a `Stacked` counts its layers, `Linear` and norms flatten their axes.
"""

import dataclasses
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import haliax.nn as hnn
import jax
import numpy as np
from equinox import Module
from haliax import Axis, NamedArray
from haliax.axis import AxisSpec
from haliax.nn.normalization import LayerNormBase
from haliax.nn.scan import BlockSeq, Stacked
from haliax.state_dict import ModuleWithStateDictSerialization

from levgen.errors import LevgenError
from levgen.runtime.checkpoints.pieces import InPieces
from levgen.runtime.norms import LayerNorm, RmsNorm
from levgen.runtime.runs import Runs


class HfLayoutError(LevgenError):
    """A module whose tensors can't be named from its fields."""


@dataclass(frozen=True)
class HfTensor:
    """One tensor of a checkpoint, which is one array of the model or one layer of it.

    name: its name in the checkpoint. shape: its shape there.
    leaf: the index of the array among `model_arrays(model)`. path: the array's name in our model.
    index: (dimension, layer) for each stack of layers that the array is in, outermost first.
    order: what remains after indexing, transposed so and reshaped, is the tensor.
    """

    name: str
    shape: tuple[int, ...]
    leaf: int
    path: str
    index: tuple[tuple[int, int], ...]
    order: tuple[int, ...]

    @property
    def label(self) -> str:
        """Our name, with the layer: `transformer.layers.mlp.up_proj.weight[3]`."""
        return self.path + "".join(f"[{layer}]" for _, layer in self.index)

    def select(self, array: Any) -> Any:
        """The part of `array` (jax or numpy) that the tensor is, in the tensor's order of axes, before the reshape."""
        where: list[Any] = [slice(None)] * array.ndim
        for dimension, layer in self.index:
            where[dimension] = layer
        return array[(*where, ...)].transpose(self.order)

    def selected_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of `select` of an array of that shape."""
        taken = {dimension for dimension, _ in self.index}
        rest = [size for dimension, size in enumerate(shape) if dimension not in taken]
        return tuple(rest[dimension] for dimension in self.order)

    def select_part(self, part: Any, slices: tuple[slice, ...]) -> tuple[Any, tuple[slice, ...]] | None:
        """What `part`, the piece of the array at `slices`, has of the tensor, and where that lies in `select`.

        None where it has nothing of it: it holds other layers.
        """
        where: list[Any] = [slice(None)] * part.ndim
        for dimension, layer in self.index:
            cut = slices[dimension]
            if not cut.start <= layer < cut.stop:
                return None
            where[dimension] = layer - cut.start
        taken = {dimension for dimension, _ in self.index}
        rest = [cut for dimension, cut in enumerate(slices) if dimension not in taken]
        return part[(*where, ...)].transpose(self.order), tuple(rest[dimension] for dimension in self.order)


def model_arrays(model: Any) -> list[Any]:
    """The arrays of a model (or their shapes), in the order of `jax.tree.leaves`."""
    return [leaf for leaf in jax.tree.leaves(model) if _is_array(leaf)]


def replace_arrays(model: Any, arrays: list[Any]) -> Any:
    """`model` with `arrays` in the places of `model_arrays(model)`."""
    leaves, structure = jax.tree.flatten(model)
    new = iter(arrays)
    return jax.tree.unflatten(structure, [next(new) if _is_array(leaf) else leaf for leaf in leaves])


def hf_tensors(model: Any, prefix: str | None = None, *, in_files: bool = True) -> list[HfTensor]:
    """The tensors of the checkpoint of `model` (arrays or shapes), in the order of the model's fields, layer by layer.

    `in_files`: as transformers writes them by default; False: as it holds them in memory, which differs for modules
    that are `InPieces`, and where the model says so in `hf_module_names`.

    Raises `HfLayoutError` for a module that writes its state dict by code of its own, and for two arrays of one name.
    """
    # Fresh shapes, so that an array is known by identity even where a model holds one twice.
    shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) if _is_array(leaf) else leaf, model)
    numbers = {id(leaf): number for number, leaf in enumerate(model_arrays(shapes))}
    tensors = list(_walk(shapes, prefix, "", (), numbers, in_files))
    if not in_files:
        renamed = getattr(model, "hf_module_names", {})
        tensors = [dataclasses.replace(tensor, name=in_memory(tensor.name, renamed)) for tensor in tensors]
    by_name: dict[str, HfTensor] = {}
    for tensor in tensors:
        if tensor.name in by_name:
            raise HfLayoutError(
                f"{tensor.label} and {by_name[tensor.name].label} are both {tensor.name!r} in the checkpoint.",
                "Correct `_state_dict_key_map` of their modules.",
            )
        by_name[tensor.name] = tensor
    return tensors


def in_memory(name: str, names: Mapping[str, str]) -> str:
    """`name` with each run of its steps that `names` has replaced: `{"block_sparse_moe": "mlp"}`."""
    padded = f".{name}."
    for theirs, ours in names.items():
        padded = padded.replace(f".{theirs}.", f".{ours}.")
    return padded[1:-1]


@dataclass(frozen=True)
class _Stack:
    """A stack of layers that the walk is inside: its axis, and which layer. Or another axis, and where on it."""

    Block: Axis
    layer: int


def _walk(
    node: Any,
    name: str | None,
    path: str,
    stacks: tuple[_Stack, ...],
    numbers: dict[int, int],
    in_files: bool,
    flat: Any = None,
) -> Iterator[HfTensor]:
    """`flat`: the axes that the module around an array flattens, as groups in the order of the tensor's dimensions."""
    if _is_array(_raw(node)):
        if name is None:
            raise HfLayoutError(f"{path} would have no name in the checkpoint.")
        yield _tensor(node, name, path, stacks, numbers[id(_raw(node))], flat)
    elif isinstance(node, Stacked):
        yield from _stack(node, range(node.Block.size), name, path, stacks, numbers, in_files)
    elif isinstance(node, Runs):
        for layers, stack in node.placed():
            where = f"{path}.{layers.start}" if layers.start else path
            yield from _stack(stack, layers, name, where, stacks, numbers, in_files)
    elif isinstance(node, BlockSeq):
        for layer, block in enumerate(node.blocks):
            yield from _walk(block, _join(name, str(layer)), f"{path}.{layer}", stacks, numbers, in_files)
    elif isinstance(node, InPieces):
        for piece in node.hf_pieces(in_files=in_files):
            array = getattr(node, piece.field)
            at = tuple(_Stack(array.resolve_axis(axis), place) for axis, place in piece.at.items())
            groups = [tuple(array.resolve_axis(axis) for axis in group) for group in piece.dimensions]
            where = f"{path}.{piece.field}" if path else piece.field
            yield _tensor(array, str(_join(name, piece.name)), where, (*stacks, *at), numbers[id(_raw(array))], groups)
    elif isinstance(node, Module):
        _refuse_own_code(node, path)
        renamed = node._state_dict_key_map() if isinstance(node, ModuleWithStateDictSerialization) else {}
        for field in dataclasses.fields(node):
            if not field.metadata.get("static", False):
                value = getattr(node, field.name)
                key = _join(name, renamed.get(field.name, field.name))
                inside = f"{path}.{field.name}" if path else field.name
                yield from _walk(value, key, inside, stacks, numbers, in_files, _flattened(node, field.name))
    elif isinstance(node, list | tuple):
        for position, item in enumerate(node):
            yield from _walk(item, _join(name, str(position)), f"{path}.{position}", stacks, numbers, in_files)
    elif isinstance(node, dict):
        for key, item in node.items():
            yield from _walk(item, _join(name, key), f"{path}.{key}", stacks, numbers, in_files)


def _stack(
    stack: Stacked[Any],
    layers: range,
    name: str | None,
    path: str,
    stacks: tuple[_Stack, ...],
    numbers: dict[int, int],
    in_files: bool,
) -> Iterator[HfTensor]:
    """The tensors of a stack whose layers have the numbers `layers` in the checkpoint, layer by layer.

    One layer is walked: in another only the number in the names and the place in the arrays are different.
    """
    first = _join(name, str(layers.start))
    inside = (*stacks, _Stack(stack.Block, 0))
    tensors = list(_walk(stack.stacked, first, path, inside, numbers, in_files))
    for layer, number in enumerate(layers):
        prefix = _join(name, str(number))
        for tensor in tensors:
            place = list(tensor.index)
            place[len(stacks)] = (place[len(stacks)][0], layer)
            own = f"{prefix}{tensor.name.removeprefix(str(first))}"
            yield dataclasses.replace(tensor, name=own, index=tuple(place))


def _tensor(
    node: Any, name: str, path: str, stacks: tuple[_Stack, ...], number: int, flat: list[tuple[Axis, ...]] | None
) -> HfTensor:
    raw = _raw(node)
    if not isinstance(node, NamedArray):
        # a plain array has its layers first
        index = tuple((dimension, stack.layer) for dimension, stack in enumerate(stacks))
        shape = tuple(raw.shape[len(stacks) :])
        return HfTensor(name, shape, number, path, index, tuple(range(len(shape))))
    names = [axis.name for axis in node.axes]
    for stack in stacks:
        if stack.Block.name not in names:
            raise HfLayoutError(
                f"{path} {node.axes} is inside a stack over {stack.Block.name!r} and lacks that axis.",
                "An array that all layers share belongs outside of the stack.",
            )
    index = tuple((names.index(stack.Block.name), stack.layer) for stack in stacks)
    taken = {dimension for dimension, _ in index}
    axes = [axis for dimension, axis in enumerate(node.axes) if dimension not in taken]
    groups: list[tuple[Axis, ...]] = [(axis,) for axis in axes]
    if flat is not None:
        inside = {axis.name for group in flat for axis in group}
        groups = [(axis,) for axis in axes if axis.name not in inside] + flat
    ordered = [axis.name for group in groups for axis in group]
    order = tuple([axis.name for axis in axes].index(axis_name) for axis_name in ordered)
    shape = tuple(math.prod(axis.size for axis in group) for group in groups)
    return HfTensor(name, shape, number, path, index, order)


def _flattened(module: Module, field: str) -> list[tuple[Axis, ...]] | None:
    """The groups of axes that a module flattens to one dimension each; None where it leaves an array as it is."""
    if isinstance(module, hnn.Linear):
        Out, In = axes_of(module.Out), axes_of(module.In)
        if len(Out) == 1 and len(In) == 1:
            return None
        if field == "bias":
            return [Out]
        out_first = module.weight.axes[-len(Out) :] != Out
        return [Out, In] if out_first else [In, Out]
    if isinstance(module, _NORMS) and not isinstance(module.axis, Axis):
        return [axes_of(module.axis)]
    return None


_NORMS = (LayerNormBase, LayerNorm, RmsNorm)
_KNOWN_CODE = (hnn.Linear, *_NORMS, ModuleWithStateDictSerialization)


def _refuse_own_code(module: Module, path: str) -> None:
    for method in ("to_state_dict", "from_state_dict", "flatten_for_export", "unflatten_from_export"):
        own = getattr(type(module), method, None)
        if own is not None and not any(own is getattr(known, method) for known in _KNOWN_CODE):
            raise HfLayoutError(
                f"{type(module).__name__} ({path}) defines {method}: its tensors can't be named from its fields.",
                "Rename by `_state_dict_key_map`, or give it a field for each tensor of the checkpoint.",
            )
    if isinstance(module, hnn.Linear) and module.reparam.active_scale != 1:
        raise HfLayoutError(f"{path} is a linear layer with a scale of {module.reparam.active_scale}: 1 is supported.")


def axes_of(spec: AxisSpec) -> tuple[Axis, ...]:
    """The axes of one axis, of several or of a mapping from names to sizes."""
    if isinstance(spec, Axis):
        return (spec,)
    return tuple(Axis(*item) for item in spec.items()) if isinstance(spec, Mapping) else tuple(spec)


def _join(prefix: str | None, name: str | None) -> str | None:
    return ".".join(part for part in (prefix, name) if part is not None) or None


def _raw(leaf: Any) -> Any:
    return leaf.array if isinstance(leaf, NamedArray) else leaf


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array | np.ndarray | jax.ShapeDtypeStruct)
