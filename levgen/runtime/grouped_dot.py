"""Matrix products of rows that lie in groups, each group with a matrix of its own: the arithmetic of experts."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from haliax.nn import ragged_dot

# Rows in a block on a CPU: fewer leave the product to memory, more are padding where groups are small.
_LEAST_ROWS, _MOST_ROWS = 32, 256


def grouped_dot(rows: jax.Array, matrices: jax.Array, sizes: jax.Array) -> jax.Array:
    """The rows of group g times `matrices[g]`: operations grow with the rows, not with the number of groups.

    On an accelerator it is haliax's `ragged_dot`. XLA has none for a CPU, where `jax.lax.ragged_dot` multiplies every
    row by every matrix: there the rows are cut into blocks that lie within a group, and a loop goes over the blocks.

    Args:
        rows: [rows, in], the groups one after the other.
        matrices: [groups, in, out].
        sizes: [groups] int, how many rows each group has. Rows beyond their sum belong to none.

    Returns:
        [rows, out], zeros for rows of no group.
    """
    if jax.default_backend() == "cpu":
        return _blocked(rows, matrices, sizes)
    out: jax.Array = ragged_dot(rows, matrices, sizes)
    # Kernels leave what belongs to no group as it was in memory.
    return jnp.where((jnp.arange(rows.shape[0]) < sizes.sum())[:, None], out, 0)


@jax.custom_vjp
def _blocked(rows: jax.Array, matrices: jax.Array, sizes: jax.Array) -> jax.Array:
    return _times(rows, matrices, sizes, transposed=False)


def _blocked_forward(rows: jax.Array, matrices: jax.Array, sizes: jax.Array) -> tuple[jax.Array, Any]:
    return _times(rows, matrices, sizes, transposed=False), (rows, matrices, sizes)


def _blocked_backward(residuals: Any, gradient: jax.Array) -> Any:
    rows, matrices, sizes = residuals
    of_rows = _times(gradient, matrices, sizes, transposed=True)
    return of_rows, _outer(rows, gradient, sizes).astype(matrices.dtype), None


_blocked.defvjp(_blocked_forward, _blocked_backward)


def _blocks(sizes: jax.Array, count: int) -> tuple[int, jax.Array, jax.Array, jax.Array, jax.Array]:
    """Rows in a block, how many blocks there are, and of each its group, its first row and how many rows are its own.

    Blocks of a group follow each other, and the groups too.
    """
    groups = sizes.shape[0]
    size = min(max(_LEAST_ROWS, 1 << (count // (2 * groups)).bit_length()), _MOST_ROWS)
    in_group = (sizes + size - 1) // size
    ends = jnp.cumsum(in_group)
    block = jnp.arange(count // size + groups)
    group = jnp.minimum(jnp.searchsorted(ends, block, side="right"), groups - 1)
    within = (block - (ends - in_group)[group]) * size
    return size, ends[-1], group, (jnp.cumsum(sizes) - sizes)[group] + within, sizes[group] - within


def _times(rows: jax.Array, matrices: jax.Array, sizes: jax.Array, *, transposed: bool) -> jax.Array:
    """[rows, in] -> [rows, out]; with `transposed` the matrices are [groups, out, in]."""
    size, count, group, start, own = _blocks(sizes, rows.shape[0])
    padded = jnp.pad(rows, ((0, size), (0, 0)))  # the last block may reach beyond the end
    over = ((1,), (1,)) if transposed else ((1,), (0,))

    def multiply(i: jax.Array, out: jax.Array) -> jax.Array:
        block = jax.lax.dynamic_slice_in_dim(padded, start[i], size)
        matrix = jax.lax.dynamic_index_in_dim(matrices, group[i], keepdims=False)
        product = jax.lax.dot_general(block, matrix, (over, ((), ())), preferred_element_type=jnp.float32)
        # Rows of the next group are overwritten by its own first block.
        product = jnp.where(jnp.arange(size)[:, None] < own[i], product, 0).astype(out.dtype)
        return jax.lax.dynamic_update_slice_in_dim(out, product, start[i], axis=0)

    width = matrices.shape[1 if transposed else 2]
    out: jax.Array = jax.lax.fori_loop(0, count, multiply, jnp.zeros((padded.shape[0], width), rows.dtype))
    return out[: rows.shape[0]]


def _outer(rows: jax.Array, gradient: jax.Array, sizes: jax.Array) -> jax.Array:
    """[groups, in, out] fp32: for each group the sum of the outer products of its rows, [rows, in] and [rows, out]."""
    size, count, group, start, own = _blocks(sizes, rows.shape[0])
    padded, padded_gradient = (jnp.pad(x, ((0, size), (0, 0))) for x in (rows, gradient))

    def add(i: jax.Array, out: jax.Array) -> jax.Array:
        block, other = (jax.lax.dynamic_slice_in_dim(x, start[i], size) for x in (padded, padded_gradient))
        block = jnp.where(jnp.arange(size)[:, None] < own[i], block, 0)
        product = jax.lax.dot_general(block, other, (((0,), (0,)), ((), ())), preferred_element_type=jnp.float32)
        so_far = jax.lax.dynamic_index_in_dim(out, group[i], keepdims=False)
        summed: jax.Array = jax.lax.dynamic_update_index_in_dim(out, so_far + product, group[i], axis=0)
        return summed

    shape = (sizes.shape[0], rows.shape[1], gradient.shape[1])
    total: jax.Array = jax.lax.fori_loop(0, count, add, jnp.zeros(shape, jnp.float32))
    return total


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def gather_rows(values: jax.Array, order: jax.Array, inverse: jax.Array, copies: int) -> jax.Array:
    """Row `order[i] // copies` of `values` at i: each row `copies` times, in an order.

    The gradient gathers too, where that of an index would scatter: `inverse` undoes `order`.

    Args:
        values: [n, width].
        order: [n * copies] int, a permutation; `inverse` is its inverse.
    """
    gathered: jax.Array = values[order // copies]
    return gathered


def _gather_forward(
    values: jax.Array, order: jax.Array, inverse: jax.Array, copies: int
) -> tuple[jax.Array, jax.Array]:
    return values[order // copies], inverse


def _gather_backward(copies: int, inverse: jax.Array, gradient: jax.Array) -> Any:
    each = gradient[inverse].reshape(-1, copies, gradient.shape[-1])
    return each.sum(axis=1), None, None


gather_rows.defvjp(_gather_forward, _gather_backward)
