"""Layers of several kinds: one scan for each run or for what repeats, with the names of one stack."""

import equinox as eqx
import haliax as hax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from haliax import Axis, NamedArray
from haliax.state_dict import ModuleWithStateDictSerialization
from jaxtyping import PRNGKeyArray

from levgen.errors import LevgenError
from levgen.runtime import Runs
from levgen.runtime.checkpoints.names import hf_tensors
from levgen.runtime.runs import repeating

Embed, Layers = Axis("embed", 4), Axis("layer", 5)
KINDS = {
    "runs": ("dense", "dense", "sparse", "sparse", "dense"),
    "turns": ("dense", "sparse", "dense", "sparse", "sparse"),
}


class Layer(ModuleWithStateDictSerialization):
    gain: NamedArray
    shift: NamedArray | None

    @staticmethod
    def init(config: None, kind: str, *, key: PRNGKeyArray) -> "Layer":
        gain = hax.random.normal(key, Embed)
        return Layer(gain, gain * 0.5 if kind == "sparse" else None)

    def __call__(self, x: NamedArray, scale: NamedArray) -> NamedArray:
        x = x + self.gain * scale * hax.sin(x)
        return x if self.shift is None else x + self.shift


def _layers(which: str) -> Runs:
    return Runs.init(Layers, KINDS[which], Layer, None, key=jax.random.PRNGKey(0))


@pytest.fixture(params=KINDS)
def runs(request: pytest.FixtureRequest) -> Runs:
    return _layers(request.param)


def test_fold_is_layer_after_layer(runs: Runs) -> None:
    x = hax.named(jnp.arange(4.0), Embed)
    scale = hax.named(jnp.arange(1.0, 6.0), Layers)
    expected = x
    for index, layer in enumerate(runs.unstacked()):
        expected = layer(expected, scale["layer", index])
    np.testing.assert_allclose(eqx.filter_jit(runs.fold)(x, scale).array, expected.array, rtol=1e-6)


@pytest.mark.parametrize(
    ("which", "numbers", "scans"),
    [
        ("runs", [range(2), range(2, 4), range(4, 5)], 3),
        ("turns", [range(0, 4, 2), range(1, 4, 2), range(4, 5)], 2),
    ],
)
def test_a_scan_for_each_run_or_turn(which: str, numbers: list[range], scans: int) -> None:
    runs = _layers(which)
    assert [own for own, _ in runs.placed()] == numbers
    jaxpr = jax.make_jaxpr(lambda x: runs.fold(hax.named(x, Embed), hax.ones(Layers)).array)(jnp.ones(4))
    assert str(jaxpr).count("scan[") == scans


@pytest.mark.parametrize(
    ("kinds", "parts"),
    [
        ("d" + "s" * 59, [("d", 1), ("s", 59)]),
        ("ds" * 24, [("ds", 24)]),
        ("dsss" * 2, [("d", 1), ("s", 3), ("d", 1), ("s", 3)]),
        ("dsss" * 12, [("dsss", 12)]),
        ("sdsdsdss", [("sd", 3), ("s", 2)]),
    ],
)
def test_what_is_least_to_compile(kinds: str, parts: list[tuple[str, int]]) -> None:
    assert [("".join(turn), times) for turn, times in repeating(tuple(kinds))] == parts


def test_layers_are_numbered_through() -> None:
    runs = _layers("runs")
    names = [tensor.name for tensor in hf_tensors(runs, "layers")]
    assert [name for name in names if name.endswith("gain")] == [f"layers.{index}.gain" for index in range(5)]
    assert [name for name in names if name.endswith("shift")] == ["layers.2.shift", "layers.3.shift"]


def test_layers_that_come_in_turn_are_numbered_through() -> None:
    names = [tensor.name for tensor in hf_tensors(_layers("turns"), "layers")]
    assert sorted(name for name in names if name.endswith("gain")) == [f"layers.{index}.gain" for index in range(5)]
    shifts = {name for name in names if name.endswith("shift")}
    assert shifts == {"layers.1.shift", "layers.3.shift", "layers.4.shift"}


@pytest.mark.parametrize("which", KINDS)
def test_layers_by_number(which: str) -> None:
    runs = _layers(which)
    for index, layer in enumerate(runs.unstacked()):
        assert (layer.shift is None) == (KINDS[which][index] == "dense")
        np.testing.assert_array_equal(runs.get_layer(index).gain.array, layer.gain.array)
    with pytest.raises(IndexError, match="there are 5 layers, and no layer 5"):
        runs.get_layer(5)


def test_other_than_one_kind_for_each_layer_is_refused() -> None:
    with pytest.raises(LevgenError, match="4 layers are described, and the model has 5"):
        Runs.init(Layers, KINDS["runs"][:4], Layer, None, key=jax.random.PRNGKey(0))


@pytest.mark.parametrize("which", KINDS)
def test_layers_are_changed_kind_by_kind(which: str) -> None:
    seen: list[tuple[list[int], bool]] = []

    def doubled(numbers: range, layers: Layer) -> Layer:
        seen.append((list(numbers), layers.shift is not None))
        return jax.tree.map(lambda array: 2 * array, layers)

    before = _layers(which)
    after = before.mapped(doubled)
    assert sorted(number for numbers, _ in seen for number in numbers) == list(range(Layers.size))
    for numbers, sparse in seen:
        assert {KINDS[which][number] for number in numbers} == {"sparse" if sparse else "dense"}
    for old, new in zip(before.unstacked(), after.unstacked(), strict=True):
        np.testing.assert_array_equal(2 * old.gain.array, new.gain.array)
