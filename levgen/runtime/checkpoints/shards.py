"""Tensors of a checkpoint and the parts of an array that devices hold, with no whole array on the way."""

import math
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Self

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec, Sharding

from levgen.runtime.checkpoints.match import Readable
from levgen.runtime.checkpoints.names import HfTensor

_ALIGNMENT = 64  # bytes: the CPU backend takes a buffer so aligned as it is, without a copy
_READERS = 4  # threads
PIECE = 16 * 2**20  # bytes that a thread reads at once: the pages of 2 MB stay with it, and few files are opened
_CHUNK = 2**20  # bytes of a tensor at once where its values are copied on the way

Slices = tuple[slice, ...]  # with a start and a stop each
Part = tuple[np.ndarray[Any, Any], Slices]  # a piece of something, and where it lies there


def aligned(shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """An uninitialised array that a device can take without a copy."""
    size = math.prod(shape) * dtype.itemsize
    memory = np.empty(size + _ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    array: np.ndarray[Any, Any] = memory[start : start + size].view(dtype).reshape(shape)
    return array


class Readers:
    """Threads that read tensors into arrays while more are asked for: most of the time goes into copying and new pages.

    All that was asked for has been read when the `with` block ends, which raises what a reader raised.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(min(_READERS, os.cpu_count() or 1))
        self._reading: list[Future[None]] = []

    def read(self, source: Readable, whole: np.ndarray[Any, Any]) -> None:
        """Read `source` into `whole`, piece by piece, from now on."""
        self._reading += [self._pool.submit(source.read_into, view, first) for view, first in _pieces(whole)]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                for piece in self._reading:
                    piece.result()
        finally:
            self._pool.shutdown(cancel_futures=True)


def _pieces(view: np.ndarray[Any, Any]) -> Iterator[tuple[np.ndarray[Any, Any], int]]:
    """`view` by some rows at a time, with the number of the first element of each."""
    if view.ndim == 0:
        yield view, 0
        return
    row = math.prod(view.shape[1:])
    for first, last in _blocks(view.shape[0], row * view.dtype.itemsize, PIECE):
        yield view[first:last], first * row


class ShardedArray:
    """An array of this process's devices that is filled tensor by tensor."""

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any], sharding: Sharding) -> None:
        """Raises ValueError where the shape can't be cut so."""
        self._shape, self._sharding = shape, sharding
        self._places = {
            device: _slices(index, shape) for device, index in sharding.addressable_devices_indices_map(shape).items()
        }
        part = sharding.shard_shape(shape)
        self._parts = {_start(place): (aligned(part, dtype), place) for place in self._places.values()}

    def read(self, tensor: HfTensor, source: Readable) -> None:
        """Read `source`, which is `tensor` of the array, into its places."""
        shape = tensor.selected_shape(self._shape)
        row = math.prod(shape[1:])
        whole_rows, cut = _of_tensor(tensor, self._parts.values(), shape)
        for view, where in whole_rows:
            source.read_into(view, where[0].start * row if where else 0)
        if not cut:
            return
        for first, last in _blocks(shape[0], row * cut[0][0].dtype.itemsize, _CHUNK):
            chunk = np.empty((last - first, *shape[1:]), cut[0][0].dtype)
            source.read_into(chunk, first * row)
            for view, there in _overlaps(cut, chunk, first, last):
                view[...] = there

    def array(self) -> jax.Array:
        """The array; nothing is read into it any more."""
        arrays = []
        for device, place in self._places.items():
            # The buffer itself becomes the first device's; the others that hold the same get copies.
            part, _ = self._parts[_start(place)]
            arrays.append(jax.device_put(part, device, may_alias=device == self._first(place)))
        whole: jax.Array = jax.make_array_from_single_device_arrays(self._shape, self._sharding, arrays)
        return whole

    def _first(self, place: Slices) -> jax.Device:
        return next(device for device, other in self._places.items() if other == place)


def host_parts(array: Any) -> list[Part]:
    """What this process's devices hold of an array (jax's or numpy's), each part of it once.

    A processor's memory is shown as it is, not copied. An array that is spread over several processes comes whole.
    """
    if not isinstance(array, jax.Array):
        array = np.asarray(array)
        return [(array, _slices((slice(None),) * array.ndim, array.shape))]
    if not array.is_fully_addressable:
        everywhere = NamedSharding(array.sharding.mesh, PartitionSpec())  # type: ignore[attr-defined]
        array = jax.device_put(array, everywhere)
    parts: dict[tuple[int, ...], Part] = {}
    for shard in array.addressable_shards:
        place = _slices(shard.index, array.shape)
        if _start(place) not in parts:
            # `np.asarray` of the array itself would keep a copy for as long as the array lives.
            parts[_start(place)] = (np.asarray(shard.data), place)
    return list(parts.values())


def write_tensor(
    tensor: HfTensor,
    parts: Iterable[Part],
    shape: tuple[int, ...],
    write: Callable[[np.ndarray[Any, Any], int], None],
) -> None:
    """Hand all values of `tensor` of an array of that shape to `write(values, number of the first element)`."""
    selected = tensor.selected_shape(shape)
    row = math.prod(selected[1:])
    whole_rows, cut = _of_tensor(tensor, parts, selected)
    for view, where in whole_rows:
        write(view, where[0].start * row if where else 0)
    if not cut:
        return
    for first, last in _blocks(selected[0], row * cut[0][0].dtype.itemsize, _CHUNK):
        chunk = np.empty((last - first, *selected[1:]), cut[0][0].dtype)
        for view, there in _overlaps(cut, chunk, first, last):
            there[...] = view
        write(chunk, first * row)


def _of_tensor(tensor: HfTensor, parts: Iterable[Part], shape: tuple[int, ...]) -> tuple[list[Part], list[Part]]:
    """What the parts have of a tensor of that shape: whole rows, which lie together in a file, and pieces of rows."""
    whole_rows: list[Part] = []
    cut: list[Part] = []
    for part, slices in parts:
        inside = tensor.select_part(part, slices)
        if inside is not None:
            (whole_rows if inside[0].shape[1:] == shape[1:] else cut).append(inside)
    return whole_rows, cut


def _overlaps(
    parts: Iterable[Part], chunk: np.ndarray[Any, Any], first: int, last: int
) -> Iterator[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]:
    """Views of each part and of `chunk`, the rows `first` to `last`, that are the same place."""
    for part, (rows, *columns) in parts:
        begin, end = max(first, rows.start), min(last, rows.stop)
        if begin < end:
            in_part, in_chunk = (slice(begin - start, end - start) for start in (rows.start, first))
            yield part[in_part], chunk[(in_chunk, *columns)]


def _blocks(rows: int, row_bytes: int, most: int) -> Iterator[tuple[int, int]]:
    """The first row of each block of `most` bytes, and the one after its last."""
    step = max(1, most // max(1, row_bytes))
    for first in range(0, rows, step):
        yield first, min(first + step, rows)


def _slices(index: Any, shape: tuple[int, ...]) -> Slices:
    """jax's index of a shard, with numbers for all starts and stops."""
    return tuple(slice(*cut.indices(size)[:2]) for cut, size in zip(index, shape, strict=True))


def _start(place: Slices) -> tuple[int, ...]:
    return tuple(cut.start for cut in place)
