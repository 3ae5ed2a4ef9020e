"""Layers of several kinds: one scan for each run, with the names of one stack."""

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
from levgen.runtime.hf_names import hf_tensors

Embed, Layers = Axis("embed", 4), Axis("layer", 5)
KINDS = ("dense", "dense", "sparse", "sparse", "dense")


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


@pytest.fixture
def runs() -> Runs:
    return Runs.init(Layers, KINDS, Layer, None, key=jax.random.PRNGKey(0))


def test_fold_is_layer_after_layer(runs: Runs) -> None:
    x = hax.named(jnp.arange(4.0), Embed)
    scale = hax.named(jnp.arange(1.0, 6.0), Layers)
    expected = x
    for index, layer in enumerate(runs.unstacked()):
        expected = layer(expected, scale["layer", index])
    np.testing.assert_allclose(eqx.filter_jit(runs.fold)(x, scale).array, expected.array, rtol=1e-6)


def test_a_scan_for_each_run(runs: Runs) -> None:
    assert [(start, size) for start, size, _ in runs.placed()] == [(0, 2), (2, 2), (4, 1)]
    jaxpr = jax.make_jaxpr(lambda x: runs.fold(hax.named(x, Embed), hax.ones(Layers)).array)(jnp.ones(4))
    assert str(jaxpr).count("scan[") == 3


def test_layers_are_numbered_through(runs: Runs) -> None:
    names = [tensor.name for tensor in hf_tensors(runs, "layers")]
    assert [name for name in names if name.endswith("gain")] == [f"layers.{index}.gain" for index in range(5)]
    assert [name for name in names if name.endswith("shift")] == ["layers.2.shift", "layers.3.shift"]


def test_layers_by_number(runs: Runs) -> None:
    for index, layer in enumerate(runs.unstacked()):
        assert (layer.shift is None) == (KINDS[index] == "dense")
        np.testing.assert_array_equal(runs.get_layer(index).gain.array, layer.gain.array)
    with pytest.raises(IndexError, match="there are 5 layers, and no layer 5"):
        runs.get_layer(5)


def test_other_than_one_kind_for_each_layer_is_refused() -> None:
    with pytest.raises(LevgenError, match="4 layers are described, and the model has 5"):
        Runs.init(Layers, KINDS[:4], Layer, None, key=jax.random.PRNGKey(0))
