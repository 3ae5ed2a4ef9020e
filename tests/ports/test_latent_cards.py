"""What latent attention adds to the proof of a card: yarn's scale of the scores, the cache's size, the operations."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import equinox as eqx
import haliax as hax
import jax
import jax.numpy as jnp
import pytest
from haliax import Axis

pytest.importorskip("torch")
pytest.importorskip("transformers")

from test_cards import MODEL, Rendered, Vocab, logits_error, render

from levgen.architecture.catalogue import get, known_types
from levgen.runtime import LmConfig, Rotary
from levgen.runtime.flops import abstract_model
from levgen.runtime.generation.kv_cache import first_step
from levgen.scaffold.complete import complete

LATENT = [name for name in known_types() if get(name).attention.heads == "latent"]


@pytest.fixture
def rendered(model_type: str, tmp_path: Path) -> Iterator[Rendered]:
    yield render(complete(get(model_type)), model_type, tmp_path)
    known = LmConfig.get_known_choices()
    for name in [name for name, cls in known.items() if cls.__module__.startswith("rendered_")]:
        del known[name]


@pytest.mark.slow
@pytest.mark.parametrize("model_type", LATENT)
def test_yarn_scales_the_scores_past_its_trained_length(rendered: Rendered) -> None:
    rope = Rotary(
        theta=500.0, kind="yarn", factor=4.0, original_max_position_embeddings=40, mscale=0.7, mscale_all_dim=1.3
    )
    config = dataclasses.replace(rendered.tiny, rope=rope, num_layers=2)
    assert rope.score_scaling > 1.3
    assert logits_error(rendered.port(config), 200) <= MODEL


@pytest.mark.parametrize(
    ("model_type", "bytes_a_token"), [("youtu", 32 * (512 + 64) * 2), ("minicpm3", 62 * (256 + 32) * 2)]
)
def test_cache_at_full_size_in_bfloat16(rendered: Rendered, bytes_a_token: int) -> None:
    """The latent and the part of the key that all heads share, and nothing for each head."""
    config = type(rendered.tiny)()
    model = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, jnp.bfloat16), abstract_model(config, Vocab.size)
    )
    tokens = hax.zeros((Axis("batch", 1), Axis("position", 16)), dtype=jnp.int32)
    _, cache = eqx.filter_eval_shape(first_step, model, tokens, tokens == 0, capacity=64)
    assert cache.nbytes == 64 * bytes_a_token


@pytest.mark.parametrize("model_type", ["youtu"])
def test_operations_count_queries_and_values_of_their_own_sizes(rendered: Rendered) -> None:
    config = rendered.tiny
    maps = 48 * 44 + 44 * 4 * 22 + 48 * (28 + 8) + 28 * 4 * (14 + 10) + 4 * 10 * 48 + 3 * 48 * 80
    attention = 10 * (2 * 4 * 22 + 3 * 4 + 2 * 4 * 10)
    assert config.flops_per_token(100, 10) == 3 * (2 * maps + attention) + 2 * 100 * 48
