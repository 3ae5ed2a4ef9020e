"""Tensors that are columns of what earlier modules gave, and modules of whose output only some columns are known."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# What rotates in fp32 rounds even what it leaves as it is, by half of that type's eps at most.
SAME, ROTATED = 1e-9, 2**-23


@dataclass(frozen=True)
class Columns:
    """A tensor that is columns of what a leaf gave: everywhere, or at position 0 only (`turned`: it was rotated)."""

    leaf: str
    columns: tuple[int, ...]
    turned: bool


@dataclass(frozen=True)
class Joined:
    """A tensor that is all of what several leaves gave, one after the other."""

    leaves: tuple[str, ...]


@dataclass(frozen=True)
class Narrowed:
    """A leaf of whose output `filler` [T, N] experiments know `columns` alone: the others are the same in all."""

    columns: tuple[int, ...]
    filler: Any

    def whole(self, known: Any) -> Any:
        """[T, N] for the columns that are known."""
        whole = self.filler.to(known.dtype).clone()
        whole[:, list(self.columns)] = known
        return whole


def find_columns(target: Any, earlier: Mapping[str, Any], accept: float = SAME) -> Columns | None:
    """Columns of one earlier output that make up `target`, in order, to a relative error of `accept`."""
    import torch

    for leaf, tensor in earlier.items():
        distance = torch.cdist(target.T, tensor.T, p=float("inf"))
        nearest, at = distance.min(dim=1)
        if float(nearest.max()) <= accept * float(target.abs().max()) and len(set(at.tolist())) == len(at):
            return Columns(leaf, tuple(at.tolist()), turned=False)
    return None


def find_joined(target: Any, earlier: Mapping[str, Any]) -> Joined | None:
    """The outputs, whole and one after the other, that `target` [T, N] is."""
    limit, start, found = SAME * float(target.abs().max()), 0, []
    while start < target.shape[1]:
        left = target.shape[1] - start
        fitting = {leaf: t for leaf, t in earlier.items() if t.shape[1] <= left and leaf not in found}
        for leaf, tensor in fitting.items():
            if float((target[:, start : start + tensor.shape[1]] - tensor).abs().max()) <= limit:
                found.append(leaf)
                start += tensor.shape[1]
                break
        else:
            return None
    return Joined(tuple(found)) if len(found) > 1 else None
