"""How a module tells that its arrays lie otherwise in a checkpoint than in itself."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Protocol, runtime_checkable


@dataclasses.dataclass(frozen=True)
class HfPiece:
    """One tensor of a checkpoint, which is a field of a module or a part of it.

    name: below the module. field: of the module. at: where on axes of the array, by name, the part lies.
    dimensions: the names of the axes that are left, grouped as the tensor's dimensions.
    """

    name: str
    field: str
    dimensions: tuple[tuple[str, ...], ...]
    at: Mapping[str, int] = dataclasses.field(default_factory=dict)


@runtime_checkable
class InPieces(Protocol):
    """A module that names its tensors itself."""

    def hf_pieces(self, *, in_files: bool) -> Iterator[HfPiece]:
        """Its tensors as transformers writes them to files, or as it holds them in memory."""
