"""The keys that an indexer chooses: by the letter, of those that a mask shows, with ties, a cache, and no gradient."""

import dataclasses

import haliax as hax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from haliax import Axis
from numeric import normal, relative_error

from levgen.errors import LevgenError
from levgen.runtime import (
    AttentionMask,
    Rotary,
    chosen_keys,
    indexers_by_layer,
    no_chosen_keys,
    turned_first,
    with_chosen_keys,
)
from levgen.runtime.generation.kv_cache import LayerCache

Batch, Pos, Heads, HeadSize = Axis("batch", 2), Axis("position", 13), Axis("index_heads", 5), Axis("index_head_size", 6)
KeyPos = Pos.alias("key_position")
COUNT = 4
CAUSAL = np.tril(np.ones((Pos.size, Pos.size), dtype=bool))


def inputs():
    return normal(0, Batch, Pos, Heads, HeadSize), normal(1, Batch, Pos, HeadSize), normal(2, Batch, Heads, Pos)


def plain(array, *axes):
    return np.asarray(array.rearrange(axes).array, np.float64)


def oracle(q, k, weights, visible, count=COUNT):
    """{batch, position, key_position} bool, row by row in numpy's fp64."""
    products = np.einsum("bthd,bsd->bths", plain(q, Batch, Pos, Heads, HeadSize), plain(k, Batch, Pos, HeadSize))
    scores = np.einsum("bth,bths->bts", plain(weights, Batch, Pos, Heads), np.maximum(products, 0))
    chosen = np.zeros(scores.shape, bool)
    for at in np.ndindex(scores.shape[:-1]):
        seen = np.flatnonzero(np.broadcast_to(visible, scores.shape)[at])
        best = seen[np.argsort(-scores[at][seen], kind="stable")][:count]
        chosen[at][best] = True
    return chosen


def choose(q, k, weights, mask=None, count=COUNT):
    Chosen = Axis("chosen_key", count)
    chosen = chosen_keys(q, k, weights, mask, Heads=Heads, HeadSize=HeadSize, Chosen=Chosen)
    return with_chosen_keys(mask, chosen, Chosen)


def seen_by(mask, QPos=Pos, KPos=KeyPos):
    return np.asarray(mask.materialize(QPos, KPos).rearrange((Batch, QPos, KPos)).array)


SEGMENTS = np.repeat([0, 1], [5, 8])
PADDED = CAUSAL & (np.arange(Pos.size) >= 3)


@pytest.mark.parametrize(
    ("mask", "visible"),
    [
        (None, CAUSAL),
        (AttentionMask.causal(sliding_window=6), CAUSAL & ~np.tril(CAUSAL, -6)),
        (AttentionMask(), np.ones_like(CAUSAL)),
        (
            AttentionMask.causal().with_segment_ids(hax.named(SEGMENTS, Pos)),
            CAUSAL & (SEGMENTS[:, None] == SEGMENTS[None]),
        ),
        (AttentionMask.explicit(hax.named(PADDED, (Pos, KeyPos))), PADDED),
    ],
    ids=["causal", "window", "everything", "segments", "padding"],
)
def test_chooses_the_largest_scores_of_what_the_mask_shows(mask, visible):
    given = inputs()
    np.testing.assert_array_equal(seen_by(choose(*given, mask)), oracle(*given, visible))


def test_all_keys_are_seen_where_there_are_no_more():
    chosen = choose(*inputs(), count=Pos.size)
    np.testing.assert_array_equal(np.asarray(chosen.materialize(Pos, KeyPos).array), CAUSAL)


def test_the_first_of_equal_keys_is_taken():
    q, k, weights = inputs()
    chosen = seen_by(choose(q, hax.zeros_like(k), weights))
    np.testing.assert_array_equal(chosen, np.broadcast_to(CAUSAL & (np.arange(Pos.size) < COUNT), chosen.shape))


def test_a_positive_factor_chooses_the_same_keys():
    q, k, weights = inputs()
    np.testing.assert_array_equal(seen_by(choose(q, k, weights * 7.5)), seen_by(choose(q, k, weights)))


def test_no_gradient_passes():
    def total(given):
        return hax.sum(choose(*given).materialize(Pos, KeyPos).astype(jnp.float32)).scalar()

    assert all(float(jnp.abs(leaf).max()) == 0 for leaf in jax.tree.leaves(jax.grad(total)(inputs())))


@pytest.mark.parametrize("new", [1, 2])
def test_with_a_cache_the_same_keys_are_chosen_as_of_the_whole_sequence(new):
    q, k, weights = inputs()
    expected, capacity = oracle(q, k, weights, CAUSAL), 16
    Kept = KeyPos.resize(capacity)
    kept = None
    for first, last in [(0, 5), *((at, at + new) for at in range(5, Pos.size - new + 1, new))]:
        cache = LayerCache(capacity, kept, first, hax.arange(KeyPos.resize(last) if first == 0 else Kept))
        mask = dataclasses.replace(AttentionMask.causal(offset=hax.named(jnp.asarray(first), ())), cache=cache)
        chosen = choose(*(array["position", first:last] for array in (q, k, weights)), mask)
        assert chosen.cache is cache
        cache.extend(jnp.zeros((2, last - first, 3)), jnp.zeros((2, last - first, 3)))
        kept = cache.kept
        assert [array.shape for array in kept] == [(2, 16, 3), (2, 16, 3), (2, 16, HeadSize.size)]
        found = seen_by(chosen, Pos.resize(last - first), KeyPos.resize(last) if first == 0 else Kept)
        np.testing.assert_array_equal(found[..., :last], expected[:, first:last, :last])
        assert not found[..., last:].any()


@pytest.mark.parametrize("count", [COUNT, Pos.size + 3])
def test_a_later_layer_sees_the_keys_that_were_chosen_before(count):
    """With the mask that layers share, those are the keys that the layer which chose them saw."""
    given, Chosen = inputs(), Axis("chosen_key", count)
    mask = AttentionMask.explicit(hax.named(PADDED, (Pos, KeyPos)).broadcast_axis(Batch))
    chosen = chosen_keys(*given, mask, Heads=Heads, HeadSize=HeadSize, Chosen=Chosen)
    assert chosen.axes == (Batch, Pos, Chosen)
    np.testing.assert_array_equal(seen_by(with_chosen_keys(mask, chosen, Chosen)), oracle(*given, PADDED, count))


def test_before_any_choice_there_is_as_much_room_as_a_choice_takes():
    Embed, Chosen = Axis("embed", 3), Axis("chosen_key", COUNT)
    given = inputs()
    chosen = chosen_keys(*given, Heads=Heads, HeadSize=HeadSize, Chosen=Chosen)
    nothing = no_chosen_keys(hax.zeros((Batch, Pos, Embed)), Embed, Chosen)
    assert (nothing.axes, nothing.dtype) == (chosen.axes, chosen.dtype)


def test_which_layers_have_indexers():
    Layers = Axis("layer", 3)
    assert indexers_by_layer(Layers, ["full", "shared", "full"]) == ("full", "shared", "full")
    with pytest.raises(LevgenError, match="first layer is given no choice"):
        indexers_by_layer(Layers, ["shared", "full", "full"])
    with pytest.raises(LevgenError, match="'ful' is not known"):
        indexers_by_layer(Layers, ["full", "ful", "full"])
    with pytest.raises(LevgenError, match="2 layers are described"):
        indexers_by_layer(Layers, ["full", "full"])


def test_one_indexer_a_layer_keeps_its_keys():
    q, k, weights = inputs()
    cache = LayerCache(16, None, 0, hax.arange(KeyPos.resize(16)))
    mask = dataclasses.replace(AttentionMask.causal(), cache=cache)
    choose(q, k, weights, mask)
    with pytest.raises(LevgenError, match="chooses its keys twice"):
        choose(q, k, weights, mask)


def test_what_does_not_fit_is_refused():
    q, k, weights = inputs()
    with pytest.raises(LevgenError, match="at least 1 key"):
        choose(q, k, weights, count=0)
    with pytest.raises(LevgenError, match="index_heads"):
        choose(q, k, weights["index_heads", 0])


@pytest.mark.parametrize("layout", ["half", "interleaved"])
def test_the_first_dimensions_turn_as_a_head_of_their_width(layout):
    Turning, rope, positions = Axis("turning", 4), Rotary(theta=50.0), hax.arange(Pos) * 2
    _, k, _ = inputs()
    turned = turned_first(rope, k, positions, HeadSize, Turning, layout)
    alone = rope(k["index_head_size", :4], positions, HeadSize.resize(4), layout)
    assert turned.axes == k.axes
    assert relative_error(turned["index_head_size", :4], np.asarray(alone.array)) == 0
    np.testing.assert_array_equal(turned["index_head_size", 4:].array, k["index_head_size", 4:].array)
    whole = turned_first(rope, k, positions, HeadSize, HeadSize.alias("turning"), layout)
    np.testing.assert_array_equal(whole.array, rope(k, positions, HeadSize, layout).array)
    with pytest.raises(LevgenError, match="7"):
        turned_first(rope, k, positions, HeadSize, Axis("turning", 7), layout)
