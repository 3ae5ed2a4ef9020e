import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from levgen.errors import LevgenError
from levgen.training.batches import Batches


def numbered(count: int) -> np.ndarray:
    return np.arange(count, dtype=np.int32)[:, None]


def one(count: int, size: int, seed: int, shuffle: bool = True) -> Batches:
    return Batches({"all": numbered(count)}, size, seed, shuffle, weights={"all": 1.0}, block_size=2048)


@given(count=st.integers(1, 20), size=st.integers(1, 7), seed=st.integers(0, 3), step=st.integers(0, 30))
def test_each_epoch_has_every_sequence_once(count: int, size: int, seed: int, step: int) -> None:
    batches = one(count, size, seed)
    seen = np.concatenate([batches.at(index)[:, 0] for index in range(step + count)])
    for epoch in range(len(seen) // count):
        assert sorted(seen[epoch * count : (epoch + 1) * count]) == list(range(count))
    direct = one(count, size, seed).at(step)  # without the steps before
    assert np.array_equal(direct[:, 0], seen[step * size : (step + 1) * size])


def test_order_follows_from_the_seed_and_the_epoch() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        return one(50, 50, seed).at(epoch)[:, 0].tolist()

    assert order(0, 0) == order(0, 0)
    assert len({tuple(order(0, 0)), tuple(order(1, 0)), tuple(order(0, 1))}) == 3
    assert one(50, 50, 0, shuffle=False).at(3)[:, 0].tolist() == list(range(50))


def mixed(shuffle: bool = True, seed: int = 0) -> Batches:
    components = {"a": numbered(30), "b": numbered(5)}
    return Batches(components, 8, seed, shuffle, weights={"a": 3.0, "b": 1.0}, block_size=16)


def test_every_block_of_a_mixture_has_the_weights() -> None:
    places = [place for step in range(20) for place in mixed().places(step)]
    for start in range(0, 160, 16):
        assert [name for name, _ in places[start : start + 16]].count("b") == 4
    assert len({tuple(name for name, _ in places[start : start + 16]) for start in range(0, 160, 16)}) > 5
    # Between blocks that end an epoch of b (4 of 5 a block, 5 blocks) each of its sequences has been used 4 times.
    used = [index for name, index in places[: 5 * 16] if name == "b"]
    assert sorted(used) == sorted(list(range(5)) * 4)
    assert mixed().places(13) == places[13 * 8 : 14 * 8]  # without the steps before
    assert mixed(seed=1).places(0) != places[:8]
    assert mixed().at(13)[:, 0].tolist() == [index for _, index in places[13 * 8 : 14 * 8]]


def test_a_weight_too_small_for_a_block_is_refused() -> None:
    with pytest.raises(
        LevgenError, match=r"the weight of 'b', 0\.01 of 1\.01, is less than one sequence in a block of 16"
    ):
        Batches({"a": numbered(9), "b": numbered(9)}, 4, 0, True, weights={"a": 1.0, "b": 0.01}, block_size=16)
