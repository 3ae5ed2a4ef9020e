"""Values that differ from layer to layer: as arrays over the layers, in a mask under a scan, and in a stream."""

import haliax as hax
import numpy as np
import pytest
from haliax import Axis

from levgen.errors import LevgenError
from levgen.runtime import AttentionMask, averaged, by_layer

Layers, Pos, KeyPos = Axis("layer", 3), Axis("position", 6), Axis("key_position", 6)


def test_each_layer_has_the_value_of_its_kind() -> None:
    windowed = by_layer(Layers, ("near", "far", "near"), {"near": True, "far": False})
    assert windowed.axes == (Layers,)
    np.testing.assert_array_equal(windowed.array, [True, False, True])


def test_another_number_of_layers_is_refused() -> None:
    with pytest.raises(LevgenError, match="2 layers are described, and the model has 3"):
        by_layer(Layers, ("near", "far"), {"near": True, "far": False})


def test_unknown_kind_is_refused_with_the_nearest() -> None:
    with pytest.raises(LevgenError, match="kind 'neat' is not known") as caught:
        by_layer(Layers, ("neat", "far", "far"), {"near": True, "far": False})
    assert "near" in str(caught.value.hint)


@pytest.mark.parametrize("layer", range(3))
def test_window_holds_where_its_flag_is_true(layer: int) -> None:
    windowed = by_layer(Layers, (1, 0, 1), {1: True, 0: False})
    mask = AttentionMask.causal().with_sliding_window(2, where=windowed["layer", layer])
    plain = AttentionMask.causal(sliding_window=2) if layer != 1 else AttentionMask.causal()
    ours, expected = mask.materialize(Pos, KeyPos), plain.materialize(Pos, KeyPos)
    assert ours is not None
    assert expected is not None
    assert bool(hax.all(ours == expected))


def test_no_window_is_none_whatever_the_flag() -> None:
    windowed = by_layer(Layers, (1, 0, 1), {1: True, 0: False})
    mask = AttentionMask.causal()
    assert mask.with_sliding_window(None, where=windowed["layer", 0]) is mask


def test_an_averaged_stream_is_the_sum_of_its_terms_over_the_root_of_their_number() -> None:
    terms = np.random.default_rng(0).standard_normal((7, Pos.size)).astype(np.float32)
    stream = hax.named(terms[0], Pos)
    for count in range(1, len(terms)):
        stream = averaged(stream, hax.named(terms[count], Pos), hax.named(np.int32(count), ()))
    np.testing.assert_allclose(stream.array, terms.sum(0) / np.sqrt(len(terms)), rtol=1e-5, atol=1e-6)


def test_an_averaged_stream_keeps_its_dtype_and_is_computed_in_fp32() -> None:
    x, added = (hax.named(np.full(6, value, np.float32), Pos).astype("bfloat16") for value in (1.0, 3.0))
    out = averaged(x, added, hax.named(np.int32(100), ()))
    assert out.dtype == x.dtype
    exact = (np.sqrt(100.0) + 3.0) / np.sqrt(101.0)
    np.testing.assert_allclose(out.astype("float32").array, exact, rtol=2.0**-8)
