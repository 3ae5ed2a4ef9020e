import dataclasses
import types

import equinox as eqx
import haliax as hax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("torch", reason="the reference is in torch")
import torch
from haliax import Axis
from transformers import Llama4TextConfig, MistralConfig
from transformers.masking_utils import (
    create_causal_mask,
    create_chunked_causal_mask,
    create_sliding_window_causal_mask,
)

from levgen.errors import LevgenError
from levgen.runtime.mask import AttentionMask

Batch, Pos = Axis("batch", 2), Axis("position", 9)
KeyPos = Pos.alias("key_position")
QUERY, KEY = np.arange(9)[:, None], np.arange(9)[None, :]
CAUSAL = QUERY >= KEY
SEGMENTS = hax.named(np.array([[0, 0, 0, 1, 1, 1, 1, 2, 2], [0] * 9]), (Batch, Pos))
SAME = np.asarray(SEGMENTS.array)[:, :, None] == np.asarray(SEGMENTS.array)[:, None, :]
RANDOM = np.random.default_rng(0).random((9, 9)) < 0.5
EXPLICIT = hax.named(jnp.asarray(RANDOM), (Pos, KeyPos))


def seen(mask):
    """The boolean array, positions last."""
    return np.asarray(mask.materialize(Pos, KeyPos).rearrange((..., Pos, KeyPos)).array)


def test_causal_is_the_lower_triangle():
    np.testing.assert_array_equal(seen(AttentionMask.causal()), CAUSAL)


@pytest.mark.parametrize("window", [1, 2, 4, 8, 9, 100])
@pytest.mark.parametrize("traced", [False, True])
def test_a_window_is_that_of_transformers(window, traced):
    config = MistralConfig(sliding_window=window, attn_implementation="eager", num_hidden_layers=1)
    reference = create_sliding_window_causal_mask(
        config=config,
        inputs_embeds=torch.zeros(1, 9, 8),
        attention_mask=None,
        past_key_values=None,
        position_ids=torch.arange(9)[None],
    )
    expected = reference[0, 0].numpy() == 0
    found = AttentionMask.causal(sliding_window=jnp.asarray(window) if traced else window)
    np.testing.assert_array_equal(seen(found), expected)


def test_a_full_mask_is_that_of_transformers():
    config = MistralConfig(sliding_window=None, attn_implementation="eager", num_hidden_layers=1)
    reference = create_causal_mask(
        config=config,
        inputs_embeds=torch.zeros(1, 9, 8),
        attention_mask=torch.ones(1, 9, dtype=torch.int64),
        past_key_values=None,
        position_ids=torch.arange(9)[None],
    )
    np.testing.assert_array_equal(seen(AttentionMask.causal()), reference[0, 0].numpy() == 0)


@pytest.mark.parametrize("offset", [-2, 0, 3])
def test_an_offset_moves_the_queries_and_their_window(offset):
    expected = (QUERY + offset >= KEY) & (QUERY + offset - 2 < KEY)
    np.testing.assert_array_equal(seen(AttentionMask.causal(sliding_window=2, offset=offset)), expected)
    offsets = hax.named(jnp.asarray([offset, 0]), Batch)
    found = seen(AttentionMask.causal(sliding_window=2, offset=offsets))
    np.testing.assert_array_equal(found, [expected, CAUSAL & (QUERY - 2 < KEY)])


def test_conditions_add_up():
    mask = AttentionMask.causal(sliding_window=3).with_segment_ids(SEGMENTS) & AttentionMask.explicit(EXPLICIT)
    np.testing.assert_array_equal(seen(mask), CAUSAL & (QUERY - 3 < KEY) & SAME & RANDOM)


def test_segments_of_keys_may_be_others():
    keys = hax.named(np.array([0, 1, 2] * 3), Pos)
    found = seen(AttentionMask().with_segment_ids(SEGMENTS, keys))
    np.testing.assert_array_equal(found, np.asarray(SEGMENTS.array)[:, :, None] == np.asarray(keys.array))


def test_windows_and_segments_only_ever_narrow():
    narrowed = AttentionMask.causal(sliding_window=3).with_sliding_window(5)
    np.testing.assert_array_equal(seen(narrowed), CAUSAL & (QUERY - 3 < KEY))
    traced = AttentionMask.causal(sliding_window=jnp.asarray(3)).with_sliding_window(jnp.asarray(5))
    np.testing.assert_array_equal(seen(traced), CAUSAL & (QUERY - 3 < KEY))
    assert seen(AttentionMask.causal().with_sliding_window(None)).sum() == CAUSAL.sum()
    twice = AttentionMask().with_segment_ids(SEGMENTS).with_segment_ids(hax.arange(Pos))
    np.testing.assert_array_equal(seen(twice), SAME & (QUERY == KEY))


def test_or_is_the_union():
    prefix = hax.named(jnp.broadcast_to(jnp.arange(9) < 3, (9, 9)), (Pos, KeyPos))
    mask = (AttentionMask.causal() | AttentionMask.explicit(prefix)) & AttentionMask().with_segment_ids(SEGMENTS)
    np.testing.assert_array_equal(seen(mask), (CAUSAL | (KEY < 3)) & SAME)
    assert (AttentionMask() | AttentionMask.causal()).materialize(Pos, KeyPos) is None


def test_no_condition_is_no_array():
    assert AttentionMask().materialize(Pos, KeyPos) is None


def test_of():
    assert AttentionMask.of(None).is_causal
    mask = AttentionMask.causal(sliding_window=2)
    assert AttentionMask.of(mask) is mask
    np.testing.assert_array_equal(seen(AttentionMask.of(EXPLICIT)), RANDOM)
    for wrong in (hax.zeros((Pos, KeyPos)), np.ones((9, 9), bool), "causal"):
        with pytest.raises(LevgenError):
            AttentionMask.of(wrong)


def test_levanters_mask_is_converted():
    # Levanter needs another version of transformers than these tests, so this has its attributes and not its class.
    theirs = types.SimpleNamespace(
        is_causal=True,
        causal_offset=hax.named(jnp.asarray(1), ()),
        explicit_mask=EXPLICIT,
        segment_ids=(SEGMENTS, SEGMENTS),
        sliding_window=3,
        bidirectional_window=None,
    )
    expected = (QUERY + 1 >= KEY) & (QUERY + 1 - 3 < KEY) & SAME & RANDOM
    np.testing.assert_array_equal(seen(AttentionMask.of(theirs)), expected)
    theirs.bidirectional_window = 2
    with pytest.raises(LevgenError, match="bidirectional"):
        AttentionMask.of(theirs)


def test_a_mask_goes_through_jit_and_vmap():
    mask = AttentionMask.causal(sliding_window=3, offset=1).with_segment_ids(SEGMENTS)
    expected = seen(mask)
    np.testing.assert_array_equal(eqx.filter_jit(seen_array)(mask), expected)
    np.testing.assert_array_equal(jax.jit(seen_array)(mask), expected)

    def one(ids):
        return seen_array(AttentionMask.causal(sliding_window=3, offset=1).with_segment_ids(ids))

    found = hax.vmap(lambda ids: hax.named(one(ids), (Pos, KeyPos)), Batch)(SEGMENTS)
    np.testing.assert_array_equal(found.rearrange((Batch, Pos, KeyPos)).array, expected)


def seen_array(mask):
    return mask.materialize(Pos, KeyPos).rearrange((..., Pos, KeyPos)).array


def test_a_window_a_layer_under_scan():
    Layers = Axis("layer", 3)
    windows = hax.named(jnp.asarray([1, 4, 100]), Layers)
    mask = AttentionMask.causal().with_segment_ids(SEGMENTS)

    def layer(carry, window, mask):
        narrowed = mask.with_sliding_window(window).materialize(Pos, KeyPos)
        return carry, narrowed.rearrange((Batch, Pos, KeyPos))

    _, found = hax.scan(lambda carry, window: layer(carry, window, mask), Layers)(jnp.zeros(()), windows)
    for index, window in enumerate((1, 4, 100)):
        np.testing.assert_array_equal(found["layer", index].array, CAUSAL & (QUERY - window < KEY) & SAME)


@pytest.mark.parametrize("size", [1, 2, 4, 8, 9, 100])
@pytest.mark.parametrize("padding", [0, 2])
def test_chunks_are_those_of_transformers(size, padding):
    config = Llama4TextConfig(attention_chunk_size=size, attn_implementation="eager", num_hidden_layers=1)
    reference = create_chunked_causal_mask(
        config=config,
        inputs_embeds=torch.zeros(1, 9, 8),
        attention_mask=(torch.arange(9) >= padding)[None].long(),
        past_key_values=None,
        position_ids=torch.arange(9)[None],
    )
    expected = reference[0, 0].numpy() == 0
    positions = hax.maximum(hax.arange(Pos) - padding, 0)
    real = hax.arange(Pos) >= padding
    found = seen(AttentionMask.causal().with_segment_ids(real.astype(jnp.int32)).with_chunks(size, positions))
    np.testing.assert_array_equal(found[padding:], expected[padding:])


def test_chunks_begin_anew_in_each_document():
    """Documents of 3, 4 and 2 tokens: what a query sees is what it would see alone."""
    lengths = (3, 4, 2)
    positions = hax.named(np.concatenate([np.arange(n) for n in lengths]), Pos)
    found = seen(AttentionMask.causal().with_segment_ids(SEGMENTS["batch", 0]).with_chunks(2, positions))
    expected, start = np.zeros((9, 9), bool), 0
    for length in lengths:
        own = np.arange(length)
        alone = (own[:, None] >= own) & (own[:, None] // 2 == own // 2)
        expected[start : start + length, start : start + length] = alone
        start += length
    np.testing.assert_array_equal(found, expected)


def test_chunks_a_layer_under_scan():
    Layers = Axis("layer", 3)
    chunked = hax.named(jnp.asarray([True, False, True]), Layers)

    def layer(carry, where):
        mask = AttentionMask.causal().with_chunks(4, hax.arange(Pos), where=where)
        return carry, mask.materialize(Pos, KeyPos)

    _, found = hax.scan(layer, Layers)(jnp.zeros(()), chunked)
    for index, has in enumerate((True, False, True)):
        expected = CAUSAL & (QUERY // 4 == KEY // 4) if has else CAUSAL
        np.testing.assert_array_equal(found["layer", index].rearrange((Pos, KeyPos)).array, expected)


def test_chunks_of_later_tokens_are_those_of_the_cache():
    """One query at position 6 of a text whose first two tokens are padding, over the keys that a cache holds."""
    keys = hax.named(np.maximum(np.arange(9) - 2, 0), KeyPos)
    One = Pos.resize(1)
    cache = types.SimpleNamespace(positions=keys)
    mask = dataclasses.replace(AttentionMask.causal(offset=8), cache=cache).with_chunks(4, hax.named([6], One))
    assert mask.cache is cache
    found = mask.materialize(One, KeyPos).rearrange((One, KeyPos)).array
    np.testing.assert_array_equal(found[0], np.asarray(keys.array) >= 4)


def test_a_chunk_without_the_query_itself_is_refused():
    with pytest.raises(LevgenError, match="at least 1 position"):
        AttentionMask.causal().with_chunks(0, hax.arange(Pos))


@pytest.mark.parametrize("window", [0, -1])
def test_a_window_without_the_query_itself_is_refused(window):
    with pytest.raises(LevgenError, match="at least 1"):
        AttentionMask.causal(sliding_window=window)


def test_an_explicit_mask_of_another_shape_is_refused():
    with pytest.raises(LevgenError, match="key_position"):
        AttentionMask.explicit(hax.ones((Batch, Pos), dtype=jnp.bool_)).materialize(Pos, KeyPos)
    with pytest.raises(LevgenError, match="Slice it"):
        AttentionMask.explicit(EXPLICIT).materialize(Pos.resize(8), KeyPos)
