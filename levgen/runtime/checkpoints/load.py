"""Loading a transformers checkpoint into a model, straight from its safetensors files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import haliax.nn as hnn
import jax
import jax.numpy as jnp
import numpy as np
from haliax import NamedArray
from haliax.partitioning import ResourceMapping, sharding_for_axis
from haliax.util import is_named_array

from levgen.errors import LevgenError
from levgen.runtime.abstract import abstract_model
from levgen.runtime.checkpoints.folder import HfCheckpointError, check_architecture, read_config
from levgen.runtime.checkpoints.match import Readable, as_named, match_tensors
from levgen.runtime.checkpoints.names import HfTensor, model_arrays, replace_arrays
from levgen.runtime.checkpoints.quantized import read_tensors
from levgen.runtime.checkpoints.safetensors_io import dtype_of
from levgen.runtime.checkpoints.shards import Readers, ShardedArray, aligned
from levgen.runtime.model import LmHeadModel

M = TypeVar("M", bound=LmHeadModel)
T = TypeVar("T")


def load_hf(
    ModelClass: type[M], folder: str | Path, *, dtype: Any = None, axis_mapping: ResourceMapping | None = None
) -> M:
    """The model in a folder with config.json and safetensors, one file or sharded with an index.

    Its tensors may be named as transformers writes them, or as its modules are in memory, where that differs: experts
    one by one or all in one. Each tensor is read into its place in the stacked array, and with `axis_mapping`, which
    wants a mesh in context, into the parts of it that the devices hold: host memory peaks some megabytes above the
    size of the weights. Weights that are stored in 8 or 4 bits are unpacked on the way (`checkpoints.quantized`).

    Args:
        ModelClass: the model's class. Its config class reads config.json.
        folder: a local folder.
        dtype: of the floating-point parameters; by default as stored, or, of 8 or 4 bits, as config.json states.
        axis_mapping: axis name -> mesh axis, to shard the parameters as haliax does.

    Raises:
        HfConfigError: config.json is of another model type, or has attributes that the model doesn't know.
        HfCheckpointError: no checkpoint, another architecture, weights in a format that can't be read, or tensors
            missing, misshapen or unexpected, all listed.
        SafetensorsError: a file that is cut short or no safetensors file.
    """
    folder = Path(folder)
    as_read = read_config(folder)
    config_class = ModelClass.config_class()
    hf_config = config_class.hf_fields.standard(config_class, as_read)
    check_architecture(ModelClass.__name__, hf_config.model_type, as_read)
    config = config_class.from_hf_config(hf_config)
    template = abstract_model(ModelClass, config, vocab_size(hf_config))
    return read_weights(template, folder, dtype=dtype, axis_mapping=axis_mapping)


def read_weights(template: T, folder: Path, *, dtype: Any = None, axis_mapping: ResourceMapping | None = None) -> T:
    """`template`, a model with shapes in the place of arrays, with the weights of a folder: see `load_hf`."""
    found = read_tensors(folder)
    wanted = as_named(template, found)
    stored = match_tensors(wanted, found, embedding=token_embedding(template, wanted), where=str(folder))
    return fill(template, wanted, stored, dtype=dtype, axis_mapping=axis_mapping)


def vocab_size(hf_config: Any) -> int:
    """The number of tokens of a transformers config."""
    size = getattr(hf_config, "vocab_size", None)
    if not isinstance(size, int):
        raise HfCheckpointError(f"the config has no vocab_size, found {size!r}.")
    return size


def token_embedding(template: Any, wanted: Sequence[HfTensor]) -> HfTensor | None:
    """The tensor of the first embedding over the axis "vocab"."""
    numbers = {id(array): number for number, array in enumerate(model_arrays(template))}
    for module in jax.tree.leaves(template, is_leaf=lambda node: isinstance(node, hnn.Embedding)):
        if isinstance(module, hnn.Embedding) and module.Vocab.name == "vocab":
            return next(tensor for tensor in wanted if tensor.leaf == numbers[id(module.weight.array)])
    return None


def fill(
    template: T,
    wanted: Sequence[HfTensor],
    sources: Sequence[Readable],
    *,
    dtype: Any = None,
    axis_mapping: ResourceMapping | None = None,
) -> T:
    """`template` with its arrays read from `sources`, the tensors that `wanted` names."""
    parts: dict[int, list[tuple[HfTensor, Readable]]] = {}
    for tensor, source in zip(wanted, sources, strict=True):
        parts.setdefault(tensor.leaf, []).append((tensor, source))
    shapes = [leaf for leaf in jax.tree.leaves(template, is_leaf=is_named_array) if hasattr(leaf, "dtype")]
    filled: list[np.ndarray[Any, Any] | jax.Array] = []
    with Readers() as readers:
        for number, shape in enumerate(shapes):
            kind = np.result_type(*(source.dtype for _, source in parts[number]))
            if dtype is not None and jnp.issubdtype(kind, jnp.floating):
                kind = dtype_of(dtype)
            kind = jax.dtypes.canonicalize_dtype(kind)
            if axis_mapping is not None and isinstance(shape, NamedArray):
                sharded = _sharded(shape, kind, axis_mapping)
                for tensor, source in parts[number]:
                    sharded.read(tensor, source)
                filled.append(sharded.array())
            else:
                buffer = aligned((shape.array if isinstance(shape, NamedArray) else shape).shape, kind)
                for tensor, source in parts[number]:
                    readers.read(source, tensor.select(buffer))
                filled.append(buffer)
    # jnp.asarray would copy
    arrays = [array if isinstance(array, jax.Array) else jax.device_put(array, may_alias=True) for array in filled]
    return replace_arrays(template, arrays)  # type: ignore[no-any-return]


def _sharded(shape: NamedArray, dtype: np.dtype[Any], axis_mapping: ResourceMapping) -> ShardedArray:
    try:
        sharding = sharding_for_axis(shape.axes, axis_mapping)
        return ShardedArray(shape.array.shape, dtype, sharding)
    except Exception as error:  # jax has several kinds, not all of them public
        if str(error) == "No mesh found":
            raise LevgenError(
                "load_hf was given an axis_mapping and there is no mesh.", "Call it inside `jax.set_mesh(mesh)`."
            ) from error
        raise LevgenError(f"{shape.axes} can't be sharded by {axis_mapping}: {error}") from error
