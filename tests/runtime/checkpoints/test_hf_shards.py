"""Parts of arrays: what each has of a tensor, however the array is cut and the tensor laid out."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from levgen.runtime.checkpoints import shards
from levgen.runtime.checkpoints.names import HfTensor
from levgen.runtime.checkpoints.shards import write_tensor

SHAPE = (2, 4, 6)  # layers, then two axes
CUTS = {
    "whole": (1, 1, 1),
    "by layers": (2, 1, 1),
    "by rows": (1, 4, 1),
    "across rows": (1, 1, 3),
    "both ways": (2, 2, 2),
}


def parts_of(array: np.ndarray, counts: tuple[int, ...]) -> list[shards.Part]:
    sizes = [size // count for size, count in zip(array.shape, counts, strict=True)]
    parts = []
    for place in np.ndindex(counts):
        cut = tuple(slice(i * size, (i + 1) * size) for i, size in zip(place, sizes, strict=True))
        parts.append((array[cut].copy(), cut))
    return parts


@pytest.fixture(params=[4, 2**20], ids=["a row at a time", "all rows at once"])
def chunk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "_CHUNK", request.param)


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["as it is", "transposed"])
@pytest.mark.usefixtures("chunk")
def test_the_parts_of_a_layer_are_written_to_their_places(cut: str, order: tuple[int, int]) -> None:
    array = np.arange(math.prod(SHAPE), dtype=np.float32).reshape(SHAPE)
    tensor = HfTensor("w", (24,), 0, "w", index=((0, 1),), order=order)
    written = np.full(24, -1, np.float32)
    write: Callable[[np.ndarray, int], None] = lambda values, first: written.__setitem__(  # noqa: E731
        slice(first, first + values.size), values.ravel()
    )
    write_tensor(tensor, parts_of(array, CUTS[cut]), SHAPE, write)
    assert np.array_equal(written, tensor.select(array).ravel())
