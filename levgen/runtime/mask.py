"""Which keys a query may see, kept as structure until a layer needs the boolean array."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import haliax as hax
import jax
import jax.numpy as jnp
from haliax import Axis, NamedArray

from levgen.errors import LevgenError

# A window that no sequence reaches.
UNBOUNDED = 2**30


class AttentionMask(eqx.Module):
    """A set of conditions, all of which a (query, key) pair must meet. With no condition everything is visible.

    Query `i` stands at the absolute position `i + causal_offset`, key `j` at `j`:

    - causal: `j <= i + causal_offset`;
    - a window of n: `j > i + causal_offset - n`, so n keys up to and with the query's own (the convention of
      transformers and of Levanter; it says nothing about keys after the query);
    - segments: query and key carry the same id;
    - explicit: the boolean array is True;
    - `all_of` and `any_of`: what `&` and `|` make of other masks.

    The attributes that Levanter's `AttentionMask` also has bear its names. A mask is a pytree: it goes through jit,
    vmap and scan, and a window may differ from layer to layer as a traced scalar.
    """

    is_causal: bool = eqx.field(default=False, static=True)
    causal_offset: NamedArray | None = None  # {...} int; None is 0, known when tracing
    explicit_mask: NamedArray | None = None  # {..., position, key_position} bool
    segment_ids: tuple[NamedArray, NamedArray] | None = None  # {..., position} int: of queries, of keys
    sliding_window: int | None = eqx.field(default=None, static=True)
    traced_window: NamedArray | None = None  # {...} int: a window that is a value, such as one per layer under a scan
    all_of: tuple["AttentionMask", ...] = ()
    any_of: tuple["AttentionMask", ...] = ()
    # Takes a layer's new keys and values and gives all of them: `runtime.generation.kv_cache`, while a step is traced.
    cache: Any = eqx.field(default=None, static=True)

    @staticmethod
    def causal(
        *, sliding_window: "int | NamedArray | jax.Array | None" = None, offset: int | NamedArray = 0
    ) -> "AttentionMask":
        """No key after the query, which stands `offset` positions further than its index says."""
        mask = AttentionMask(is_causal=True, causal_offset=_offset(offset))
        return mask.with_sliding_window(sliding_window)

    @staticmethod
    def explicit(mask: NamedArray) -> "AttentionMask":
        """`mask`: {..., position, key_position} bool, True where a query sees a key.

        Raises:
            LevgenError: the array is not boolean.
        """
        if mask.dtype != jnp.bool_:
            raise LevgenError(
                f"An explicit attention mask must be boolean, and this one is {mask.dtype}.",
                "Pass an additive one as `bias`, or compare it with a number first.",
            )
        return AttentionMask(explicit_mask=mask)

    @staticmethod
    def of(mask: Any) -> "AttentionMask":
        """The mask that `mask` stands for.

        None is causal, an AttentionMask is itself, a boolean NamedArray is explicit, and Levanter's AttentionMask is
        converted.

        Raises:
            LevgenError: anything else, and a mask of Levanter's that looks both ways (`bidirectional_window`).
        """
        if mask is None:
            return AttentionMask.causal()
        if isinstance(mask, AttentionMask):
            return mask
        if isinstance(mask, NamedArray):
            return AttentionMask.explicit(mask)
        if not (hasattr(mask, "is_causal") and hasattr(mask, "explicit_mask")):
            raise LevgenError(
                f"An attention mask must be None, an AttentionMask or a boolean NamedArray, not {type(mask).__name__}.",
                "Name a plain array's axes: hax.named(array, ('position', 'key_position')).",
            )
        if getattr(mask, "bidirectional_window", None) is not None:
            raise LevgenError(
                "A causal model can't use a mask with a bidirectional window.", "Use sliding_window, which looks back."
            )
        converted = AttentionMask(
            is_causal=mask.is_causal,
            causal_offset=_offset(getattr(mask, "causal_offset", None) or 0),
            explicit_mask=mask.explicit_mask,
            segment_ids=getattr(mask, "segment_ids", None),
        )
        return converted.with_sliding_window(getattr(mask, "sliding_window", None))

    def with_segment_ids(self, ids: NamedArray, key_ids: NamedArray | None = None) -> "AttentionMask":
        """The same, and a query sees only keys of its own segment. `ids`: {..., position} int, for keys too."""
        segments = AttentionMask(segment_ids=(ids, ids if key_ids is None else key_ids))
        if self.segment_ids is not None:
            return self & segments
        return dataclasses.replace(self, segment_ids=segments.segment_ids)

    def with_sliding_window(
        self, window: "int | NamedArray | jax.Array | None", *, where: NamedArray | None = None
    ) -> "AttentionMask":
        """The same, narrowed to a window; None changes nothing. A number is static, an array may be traced.

        Args:
            where: {} bool, may be traced: whether there is a window at all, such as one layer's entry under a scan.

        Raises:
            LevgenError: a number below 1. A layer that sees everything has no window, or one as long as the sequence.
        """
        if window is None:
            return self
        if where is not None:
            size = window.array if isinstance(window, NamedArray) else window
            return self.with_sliding_window(NamedArray(jnp.where(where.array, size, UNBOUNDED), where.axes))
        if isinstance(window, int):
            if window < 1:
                raise LevgenError(
                    f"A sliding window must be at least 1 (the query's own key), not {window}.",
                    "Use None, or the sequence's length, for a layer that sees everything.",
                )
            narrowest = window if self.sliding_window is None else min(window, self.sliding_window)
            return dataclasses.replace(self, sliding_window=narrowest)
        named = window if isinstance(window, NamedArray) else hax.named(window, ())
        if self.traced_window is not None:
            named = hax.minimum(named, self.traced_window)
        return dataclasses.replace(self, traced_window=named)

    def with_chunks(self, size: int, pos_ids: NamedArray, *, where: NamedArray | None = None) -> "AttentionMask":
        """The same, and a query sees only keys of its own chunk: positions 0 to size - 1, size to 2 * size - 1, ...

        Chunks begin where positions do: with positions that begin anew in each of several documents, so do its chunks.

        Args:
            pos_ids: {..., position} int, of the queries; of the keys too, but while text is generated with a cache.
            where: {} bool, may be traced: whether there are chunks at all, such as one layer's entry under a scan.

        Raises:
            LevgenError: a size below 1.
        """
        if size < 1:
            raise LevgenError(
                f"A chunk must hold at least 1 position (the query's own), not {size}.",
                "Leave a layer that sees everything without chunks.",
            )
        keys = pos_ids if self.cache is None else self.cache.positions.rename({"key_position": "position"})
        of_queries, of_keys = (
            positions // size if where is None else hax.where(where, positions // size, 0)
            for positions in (pos_ids, keys)
        )
        # No `&`, which makes a new mask: the cache would be lost.
        return dataclasses.replace(self, all_of=(*self.all_of, AttentionMask(segment_ids=(of_queries, of_keys))))

    def __and__(self, other: "AttentionMask") -> "AttentionMask":
        return AttentionMask(all_of=(self, other))

    def __or__(self, other: "AttentionMask") -> "AttentionMask":
        return AttentionMask(any_of=(self, other))

    def materialize(self, QPos: Axis, KPos: Axis) -> NamedArray | None:
        """{..., QPos, KPos} bool, True where the query sees the key; None where it sees every key.

        Raises:
            LevgenError: the explicit mask lacks one of the two axes, or has another size.
        """
        queries, keys = hax.arange(QPos), hax.arange(KPos)
        positions = queries if self.causal_offset is None else _outer(jnp.add, queries, self.causal_offset)
        conditions: list[NamedArray | None] = []
        if self.is_causal:
            conditions.append(_outer(jnp.greater_equal, positions, keys))
        for window in (self.sliding_window, self.traced_window):
            if window is not None:
                first = _outer(
                    jnp.subtract, positions, window if isinstance(window, NamedArray) else hax.named(window, ())
                )
                conditions.append(_outer(jnp.less, first, keys))
        if self.segment_ids is not None:
            of_queries, of_keys = self.segment_ids
            conditions.append(_outer(jnp.equal, of_queries, of_keys.rename({QPos.name: KPos.name})))
        if self.explicit_mask is not None:
            conditions.append(_checked(self.explicit_mask, QPos, KPos))
        conditions.extend(mask.materialize(QPos, KPos) for mask in self.all_of)
        if self.any_of:
            alternatives = [mask.materialize(QPos, KPos) for mask in self.any_of]
            # An alternative that sees everything leaves nothing to exclude.
            if all(alternative is not None for alternative in alternatives):
                conditions.append(_fold(jnp.logical_or, alternatives))
        mask = _fold(jnp.logical_and, conditions)
        return None if mask is None else mask.rearrange((..., QPos, KPos))


def _offset(offset: int | NamedArray) -> NamedArray | None:
    if isinstance(offset, NamedArray):
        return offset
    return None if offset == 0 else hax.named(offset, ())


def _outer(function: Any, left: NamedArray, right: NamedArray) -> NamedArray:
    """`function` of two arrays over the union of their axes: the right's own axes come last."""
    own = [axis for axis in right.axes if all(axis.name != other.name for other in left.axes)]
    axes = (*left.axes, *own)
    left_array = left.array.reshape(*left.array.shape, *(1 for _ in own))
    return NamedArray(function(left_array, aligned(right, axes)), axes)


def aligned(array: NamedArray, axes: Sequence[Axis]) -> jax.Array:
    """The plain array laid out to broadcast against `axes`, which hold all of its own: 1 where it has no such axis."""
    own = [axis for axis in axes if axis in array.axes]
    ordered = array.rearrange(tuple(own)).array if own else array.array
    return ordered.reshape([axis.size if axis in own else 1 for axis in axes])


def _fold(function: Any, masks: "list[NamedArray | None]") -> NamedArray | None:
    folded: NamedArray | None = None
    for mask in masks:
        if mask is not None:
            folded = mask if folded is None else _outer(function, folded, mask)
    return folded


def _checked(mask: NamedArray, QPos: Axis, KPos: Axis) -> NamedArray:
    sizes = {axis.name: axis.size for axis in mask.axes}
    for axis in (QPos, KPos):
        if sizes.get(axis.name) != axis.size:
            raise LevgenError(
                f"The explicit attention mask must have the axes {QPos} and {KPos}, and it has {mask.axes}.",
                f"Slice it, or rename its axes to '{QPos.name}' (queries) and '{KPos.name}' (keys).",
            )
    return mask
