"""Resizing an axis wherever a model has it: in its arrays and in the static fields that name it."""

import dataclasses
from typing import Any, TypeVar

import equinox as eqx
import haliax as hax
import jax
import jax.numpy as jnp
from haliax import Axis, NamedArray
from jaxtyping import PRNGKeyArray

T = TypeVar("T")


def resize_axis(tree: T, old: Axis, new_size: int, *, std: float | None, key: PRNGKeyArray | None, last: int = 0) -> T:
    """`tree` with the axis `old` (of that name and size) truncated, or grown, to `new_size`, before its `last` entries.

    New entries of arrays with further axes are Normal(0, std), with `std=None` at the old entries' own standard
    deviation. Without a key, and for arrays of that axis alone, they are the mean of the old ones.
    """
    new = old.resize(new_size)
    count = 0

    def resized(node: Any) -> Any:
        nonlocal count
        if isinstance(node, NamedArray):
            if old not in node.axes:
                return node
            count += 1
            own = None if key is None else jax.random.fold_in(key, count)
            if not last:
                return _resize(node, old, new, std, own)
            body, tail = node.split(old, [old.resize(old.size - last), old.resize(last)])
            body = _resize(body, old.resize(old.size - last), old.resize(new_size - last), std, own)
            return hax.concatenate(old.name, [body, tail])
        if isinstance(node, Axis):
            return new if node == old else node
        if isinstance(node, eqx.Module):
            changed = {}
            for field in dataclasses.fields(node):
                value = getattr(node, field.name, None)
                after = resized(value)
                if after is not value:
                    changed[field.name] = after
            return dataclasses.replace(node, **changed) if changed else node
        if type(node) in (list, tuple):
            after = type(node)(resized(item) for item in node)
            return after if any(a is not b for a, b in zip(after, node, strict=True)) else node
        if type(node) is dict:
            after = {name: resized(item) for name, item in node.items()}
            return after if any(after[name] is not node[name] for name in node) else node
        return node

    return resized(tree)  # type: ignore[no-any-return]


def _resize(array: NamedArray, old: Axis, new: Axis, std: float | None, key: PRNGKeyArray | None) -> NamedArray:
    if new.size <= old.size:
        return array.slice(old, start=0, length=new.size)
    More = old.resize(new.size - old.size)
    axes = tuple(More if axis == old else axis for axis in array.axes)
    if key is None or len(axes) == 1:
        rows = hax.mean(array, old).broadcast_axis(More).rearrange(axes)
    else:
        spread = jnp.std(array.array.astype(jnp.float32)) if std is None else std
        rows = hax.random.normal(key, axes) * spread
    return hax.concatenate(old.name, [array, rows.astype(array.dtype)])
