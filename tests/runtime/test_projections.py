import haliax as hax
import haliax.nn as hnn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from haliax import Axis
from haliax.state_dict import to_torch_compatible_state_dict
from numeric import normal, relative_error

from levgen.errors import LevgenError
from levgen.runtime.projections import Embedding, Linear, join_axis, split_axis

Batch, Embed, Vocab = Axis("batch", 3), Axis("embed", 64), Axis("vocab", 500)
KVHeads, HeadSize = Axis("kv_head", 4), Axis("head_size", 16)
KEY = jax.random.PRNGKey(0)


@pytest.mark.parametrize("out_first", [True, False])
def test_a_linear_is_a_matrix_product_in_the_layout_asked_for(out_first):
    layer = Linear.init(Embed, (KVHeads, HeadSize), key=KEY, std=0.2, use_bias=True, out_first=out_first)
    x = normal(1, Batch, Embed)
    matrix = np.asarray(layer.weight.array)
    matrix = matrix.reshape(64, 64).T if out_first else matrix.reshape(64, 64)

    assert isinstance(layer, hnn.Linear)
    assert layer.weight.axes == ((KVHeads, HeadSize, Embed) if out_first else (Embed, KVHeads, HeadSize))
    assert layer(x).axes == (Batch, KVHeads, HeadSize)
    assert relative_error(layer(x).array.reshape(3, 64), np.asarray(x.array) @ matrix) < 1e-6
    assert to_torch_compatible_state_dict(layer)["weight"].shape == (64, 64)


def test_weights_are_normal_and_not_truncated():
    weights = Linear.init(Axis("embed", 400), Axis("mlp", 500), key=KEY, std=0.05, use_bias=False).weight.array
    assert abs(float(weights.std()) - 0.05) < 5e-4
    assert abs(float(weights.mean())) < 5e-4
    # A truncated normal has nothing beyond 3 deviations; 0.27% of a normal's values lie there.
    assert 0.002 < float((jnp.abs(weights) > 0.15).mean()) < 0.0035


def test_a_cutoff_leaves_what_is_within_so_many_deviations():
    embedding = Embedding.init(Axis("vocab", 400), Axis("embed", 500), key=KEY, std=0.05, cutoff=2.0).weight.array
    linear = Linear.init(Axis("embed", 400), Axis("mlp", 500), key=KEY, std=0.05, use_bias=False, cutoff=2.0)
    for weights in (embedding, linear.weight.array):
        # https://en.wikipedia.org/wiki/Truncated_normal_distribution: 0.8796 of the deviation is left.
        assert abs(float(weights.std()) - 0.8796 * 0.05) < 5e-4
        assert 0.0999 < float(jnp.abs(weights).max()) <= 0.1


def test_std_zero_gives_zeros_and_biases_start_at_zero():
    layer = Linear.init(Embed, HeadSize, key=KEY, std=0.0, use_bias=True)
    assert not np.asarray(layer.weight.array).any()
    assert not np.asarray(layer.bias.array).any()
    assert Linear.init(Embed, HeadSize, key=KEY, std=0.0, use_bias=False).bias is None


def test_an_embedding_looks_rows_up():
    table = Embedding.init(Vocab, Embed, key=KEY, std=0.1)
    ids = jnp.asarray([3, 499, 3])
    found = table(hax.named(ids, Batch))

    assert isinstance(table, hnn.Embedding)
    assert abs(float(table.weight.array.std()) - 0.1) < 2e-3
    np.testing.assert_array_equal(found.array, table.weight.array[ids])


def test_split_axis_gives_each_piece_its_axes():
    Fused = Axis("qkv", 4 * 16 + 8)
    x = normal(2, Batch, Fused)
    q, rest = split_axis(x, Fused, (KVHeads, HeadSize), (Axis("gate", 8),))
    assert q.axes == (Batch, KVHeads, HeadSize)
    np.testing.assert_array_equal(q.array.reshape(3, 64), x.array[:, :64])
    np.testing.assert_array_equal(rest.array, x.array[:, 64:])
    with pytest.raises(LevgenError, match="72"):
        split_axis(x, Fused, (KVHeads, HeadSize), (Axis("gate", 9),))


def test_join_axis_lays_pieces_one_after_the_other():
    Joined = Axis("joined", 2 * HeadSize.size)
    first, second = (normal(seed, Batch, HeadSize) for seed in (3, 4))
    joined = join_axis(HeadSize, Joined, first, second)
    assert joined.axes == (Batch, Joined)
    np.testing.assert_array_equal(joined.array, np.concatenate([first.array, second.array], axis=1))
    with pytest.raises(LevgenError, match="must add up to the size 32 of 'joined', and 3 of 16 don't"):
        join_axis(HeadSize, Joined, first, second, first)
