"""Generation: with a cache it gives what the whole sequence gives, for all prompts at once."""

import dataclasses
from typing import Any

import equinox as eqx
import haliax as hax
import jax
import jax.random as jrandom
import numpy as np
import pytest
from haliax import Axis
from haliax.nn.scan import Stacked
from haliax.util import is_named_array
from llama_model import LlamaConfig, LlamaLMHeadModel

from levgen.errors import LevgenError
from levgen.runtime.generation import Sampling, generate
from levgen.runtime.generation.kv_cache import first_step, next_step
from levgen.runtime.runs import Runs, Turn
from levgen.runtime.testing import relative_error

Vocab = Axis("vocab", 61)
CONFIG = LlamaConfig(
    max_seq_len=96, hidden_dim=32, intermediate_dim=48, num_layers=3, num_heads=4, num_kv_heads=2, head_dim=8
)
PROMPTS = [[3, 1, 4], [1, 5, 9, 2, 6, 5, 3], list(range(40))]


@pytest.fixture(scope="module")
def model() -> LlamaLMHeadModel:
    return _fresh(CONFIG)


def _fresh(config: LlamaConfig) -> LlamaLMHeadModel:
    fresh = LlamaLMHeadModel.init(Vocab, config, key=jrandom.PRNGKey(0))
    # Large weights, so that the likeliest token depends on those before it.
    return jax.tree.map(lambda leaf: 8 * leaf if eqx.is_inexact_array(leaf) and leaf.ndim > 2 else leaf, fresh)


def _by_whole_sequences(model: LlamaLMHeadModel, prompt: list[int], count: int) -> list[int]:
    tokens = list(prompt)
    whole = eqx.filter_jit(lambda model, ids: model(ids))
    for _ in range(count):
        logits = whole(model, hax.named(np.asarray(tokens, np.int32), "position"))
        tokens.append(int(logits["position", -1].array.argmax()))
    return tokens[len(prompt) :]


def test_prompts_of_any_lengths_go_on_as_each_alone(model: LlamaLMHeadModel) -> None:
    found = generate(model, PROMPTS, max_new_tokens=6)
    expected = [_by_whole_sequences(model, prompt, 6) for prompt in PROMPTS]
    assert found.tokens == expected
    assert len({tuple(tokens) for tokens in expected}) == 3
    assert found.stopped == [False] * 3


def test_every_step_has_the_logits_of_the_whole_sequence(model: LlamaLMHeadModel) -> None:
    ids = hax.random.randint(jrandom.PRNGKey(1), (Axis("batch", 2), Axis("position", 20)), 0, Vocab.size)
    whole = model(ids)
    logits, cache = first_step(
        model, ids["position", :12], hax.ones(ids["position", :12].axes, dtype=bool), capacity=20
    )
    assert relative_error(logits, whole["position", 11]) < 1e-5
    for position in range(12, 20):
        logits, cache = eqx.filter_jit(next_step)(model, ids["position", position : position + 1], cache)
        assert relative_error(logits, whole["position", position]) < 1e-5
    assert int(cache.length) == 20


def test_the_cache_has_room_for_what_was_asked(model: LlamaLMHeadModel) -> None:
    found = generate(model, [[1, 2]], max_new_tokens=5)
    keys_and_values = 2 * CONFIG.num_layers * CONFIG.num_kv_heads * 8
    assert found.cache_bytes == keys_and_values * (32 + 5) * 4  # prompts are padded to 32


def test_a_stop_token_ends_one_text_and_not_the_others(model: LlamaLMHeadModel) -> None:
    plain = generate(model, PROMPTS, max_new_tokens=6).tokens
    stop = plain[1][2]
    found = generate(model, PROMPTS, max_new_tokens=6, stop_ids=[stop])
    cut = [row[: row.index(stop) + 1] if stop in row else row for row in plain]
    assert found.tokens == cut
    assert found.stopped == [stop in row for row in plain]


def test_what_is_drawn_follows_from_the_key(model: LlamaLMHeadModel) -> None:
    def drawn(seed: int) -> list[list[int]]:
        return generate(model, PROMPTS, max_new_tokens=8, sampling=Sampling(1.5), key=jrandom.PRNGKey(seed)).tokens

    assert drawn(0) == drawn(0)
    assert drawn(0) != drawn(1)


@pytest.mark.parametrize(
    ("prompts", "count", "message"),
    [
        ([], 3, "at least one token"),
        ([[1], []], 3, "at least one token"),
        ([[61]], 3, "has token 61, and the model knows 0 to 60"),
        ([[-1]], 3, "the model knows 0 to 60"),
        ([[1] * 90], 7, "more than the model's 96"),
        ([[1]], 0, "1 or more"),
    ],
)
def test_what_cannot_be_generated_is_refused(
    model: LlamaLMHeadModel, prompts: list[list[int]], count: int, message: str
) -> None:
    with pytest.raises(LevgenError, match=message):
        generate(model, prompts, max_new_tokens=count)


def test_the_whole_context_can_be_filled(model: LlamaLMHeadModel) -> None:
    assert len(generate(model, [[1] * 90], max_new_tokens=6).tokens[0]) == 6


def test_layers_that_are_scanned_together_keep_their_own() -> None:
    fresh = _fresh(dataclasses.replace(CONFIG, num_layers=4))
    in_turn = eqx.tree_at(lambda model: model.transformer.layers, fresh, _two_at_a_time(fresh.transformer.layers))
    prompts = [[3, 1, 4], [1, 5, 9, 2, 6, 5, 3]]
    assert generate(in_turn, prompts, max_new_tokens=5).tokens == generate(fresh, prompts, max_new_tokens=5).tokens


def _two_at_a_time(stack: Stacked[Any]) -> Runs:
    """The layers of `stack`, scanned two by two."""

    def part(first: int) -> Any:
        return jax.tree.map(lambda leaf: leaf[stack.Block, first::2], stack.stacked, is_leaf=is_named_array)

    Turns = stack.Block.resize(stack.Block.size // 2)
    turns = dataclasses.replace(stack, stacked=Turn((part(0), part(1))), Block=Turns)
    return Runs((turns,), (stack.Block.size,), (2,), stack.Block)
