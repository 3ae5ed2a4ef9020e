"""Recorded tensors of any layout as [T, N]: a row a position, a column a channel."""

from typing import Any

# Positions in a probe: prime, and unlike any width or number of heads of a tiny config, so that its axis is found.
LENGTH = 41
# Positions of the last comparison: longer than every probe.
LONG = 97


def canonical(x: Any, length: int = LENGTH) -> Any:
    """`x` [1, T, N], [T, N], [1, T, H, D] or [1, H, T, D] -> [T, N] with heads in order; None for other shapes."""
    dims = [size for size in x.shape if size != 1]
    if dims.count(length) != 1 or len(dims) > 3:
        return None
    x = x.reshape(dims)
    at = dims.index(length)
    x = x.movedim(at, 0).reshape(length, -1)
    return x.double() if x.is_floating_point() else x


def native(y: Any, like: Any, length: int = LENGTH) -> Any:
    """`y` [T, N] in the shape of `like`: the inverse of `canonical`."""
    dims = [size for size in like.shape if size != 1]
    at = dims.index(length)
    rest = [size for index, size in enumerate(dims) if index != at]
    return y.reshape([length, *rest]).movedim(0, at).reshape(like.shape).to(like.dtype)


def random_like(like: Any, *, std: float = 1.0, seed: int = 0) -> Any:
    """Normal(0, std) in the shape and dtype of `like`."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    return std * torch.randn(like.shape, generator=generator, dtype=torch.float64).to(like.dtype)
