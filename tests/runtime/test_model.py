"""The base model: examples, logits, loss, config class and vocabulary."""

import dataclasses

import equinox as eqx
import haliax as hax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gpt2_model import Gpt2Config, Gpt2LMHeadModel
from haliax import Axis
from haliax.nn import cross_entropy_loss
from llama_model import LlamaConfig, LlamaLMHeadModel

from levgen.errors import LevgenError
from levgen.runtime import AttentionMask, LmExample, LmHeadModel

KEY = jax.random.PRNGKey(0)
Batch, Pos, Vocab = Axis("batch", 2), Axis("position", 12), Axis("vocab", 50)
LLAMA = LlamaConfig(
    max_seq_len=16,
    hidden_dim=32,
    intermediate_dim=48,
    num_layers=2,
    num_heads=4,
    num_kv_heads=2,
    head_dim=8,
    initializer_range=0.2,
)
GPT2 = Gpt2Config(max_seq_len=16, hidden_dim=32, intermediate_dim=64, num_layers=2, num_heads=4, initializer_range=0.2)
CONFIGS = {"untied": LLAMA, "tied": GPT2}
TOKENS = hax.random.randint(KEY, (Batch, Pos), 0, 50)


@pytest.fixture(scope="module", params=CONFIGS)
def model(request) -> LmHeadModel:
    return eqx.filter_jit(CONFIGS[request.param].build)(Vocab, key=KEY)


@eqx.filter_jit
def logits_of(model, tokens, mask=None, pos_ids=None):
    return model(tokens, mask, pos_ids)


@eqx.filter_jit
def loss_of(model, example, **options):
    return model.compute_next_token_loss(example, **options)


def test_what_the_model_says_of_itself(model):
    assert model.Vocab == Vocab
    assert (model.vocab_size, model.max_length) == (50, 16)
    assert model.Embed == Axis("embed", 32)
    assert (model.Pos, model.KeyPos) == (Axis("position", 16), Axis("key_position", 16))


def test_logits_and_positions(model):
    logits = logits_of(model, TOKENS)
    assert set(logits.axes) == {Batch, Pos, Vocab}
    again = logits_of(model, TOKENS, AttentionMask.causal(), hax.arange(Pos))
    np.testing.assert_array_equal(logits.array, again.array)
    reversed_positions = logits_of(model, TOKENS, pos_ids=hax.arange(Pos)[Pos, ::-1])
    assert np.abs(reversed_positions.array - logits.array).max() > 1e-2
    everything = logits_of(model, TOKENS, hax.ones((Pos, Pos.alias("key_position")), dtype=jnp.bool_))
    assert np.abs(everything.array - logits.array).max() > 1e-2


def test_the_loss_is_the_mean_cross_entropy_of_the_next_token(model):
    example = LmExample.causal(TOKENS)
    logits = logits_of(model, TOKENS)
    targets = hax.nn.one_hot(hax.roll(TOKENS, -1, Pos), Vocab)
    each = cross_entropy_loss(logits, Vocab, targets, reduction=None)
    weight = np.ones(12) * (np.arange(12) < 11)
    expected = (each.rearrange((Batch, Pos)).array * weight).sum() / (2 * 11)
    assert float(loss_of(model, example).scalar()) == pytest.approx(float(expected), rel=1e-5)
    unreduced = loss_of(model, example, reduction=None, reduction_axis=())
    assert set(unreduced.axes) == {Batch, Pos}
    np.testing.assert_allclose(unreduced.rearrange((Batch, Pos)).array, each.array * weight, rtol=1e-4, atol=1e-5)


def test_an_auxiliary_loss_is_added():
    class WithRouter(LlamaLMHeadModel):
        def activations(self, input_ids, attn_mask=None, *, pos_ids=None, key=None):
            return super().activations(input_ids, attn_mask, pos_ids=pos_ids, key=key), 3.0

    plain = eqx.filter_jit(LlamaLMHeadModel.init)(Vocab, LLAMA, key=KEY)
    routed = WithRouter(**{field.name: getattr(plain, field.name) for field in dataclasses.fields(plain)})
    example = LmExample.causal(TOKENS)
    np.testing.assert_array_equal(logits_of(routed, TOKENS).array, logits_of(plain, TOKENS).array)
    difference = loss_of(routed, example) - loss_of(plain, example)
    assert float(difference.scalar()) == pytest.approx(3.0, rel=1e-5)


def test_examples():
    tokens = hax.named(jnp.asarray([5, 0, 7, 0]), "position")
    assert LmExample.causal(tokens).loss_weight.array.tolist() == [1, 1, 1, 0]
    assert LmExample.causal(tokens, ignore_id=0).loss_weight.array.tolist() == [0, 1, 0, 0]
    weights = hax.named(jnp.asarray([0.5, 2.0, 1.0, 1.0]), "position")
    assert LmExample.causal(tokens, loss_weight=weights).loss_weight.array.tolist() == [0.5, 2, 1, 0]
    batch = LmExample.causal(TOKENS, loss_weight=hax.ones(Pos), ignore_id=3)
    assert batch.loss_weight.axes == TOKENS.axes
    with pytest.raises(LevgenError, match="tokens must be integers, got float32"):
        LmExample.causal(tokens.astype(jnp.float32))


def test_segments_keep_documents_apart(model):
    segments = hax.arange(Pos) // 6
    mask = LmExample.causal(TOKENS, segment_ids=segments).attn_mask
    changed = TOKENS.at[Pos, 0].set((TOKENS[Pos, 0] + 1) % 50)
    before, after = (
        np.asarray(logits_of(model, t, mask).rearrange((Pos, Batch, Vocab)).array) for t in (TOKENS, changed)
    )
    assert np.abs(after - before)[:6].max() > 1e-3
    np.testing.assert_array_equal(after[6:], before[6:])


def test_the_config_class_is_that_of_the_annotation():
    assert LlamaLMHeadModel.config_class() is LlamaConfig
    assert Gpt2LMHeadModel.config_class() is Gpt2Config

    class Vague(Gpt2LMHeadModel):
        config: int = eqx.field(static=True)

    with pytest.raises(
        LevgenError, match=r"`config` of Vague must be annotated with a subclass of LmConfig, found .*int"
    ):
        Vague.config_class()


def test_a_larger_vocabulary_keeps_the_old_rows_and_draws_new_ones(model):
    larger = model.resize_vocab(2050, key=jax.random.PRNGKey(1))
    assert larger.vocab_size == 2050
    assert larger.config == model.config
    np.testing.assert_array_equal(larger.get_lm_head().array[:50], model.get_lm_head().array)
    new = [larger.get_lm_head().array[50:]]
    if getattr(model, "lm_head", None) is not None:
        new.append(larger.embeddings.weight.array[50:])
        np.testing.assert_array_equal(larger.embeddings.weight.array[:50], model.embeddings.weight.array)
        assert np.abs(new[0] - new[1]).max() > 0.1, "head and embedding are drawn apart"
    for rows in new:
        assert float(rows.std()) == pytest.approx(0.2, rel=0.02)
        assert abs(float(rows.mean())) < 0.005
    same = logits_of(larger, TOKENS).slice("vocab", start=0, length=50)
    np.testing.assert_allclose(same.array, logits_of(model, TOKENS).array, rtol=1e-5, atol=1e-5)
    assert larger.resize_vocab(50).Vocab == Vocab
    assert jax.tree.all(jax.tree.map(np.array_equal, larger.resize_vocab(50), model))


def test_a_resized_model_embeds_its_new_tokens(model):
    larger = model.resize_vocab(60, key=KEY)
    logits = logits_of(larger, hax.named(jnp.asarray([55, 59, 3]), "position"))
    assert logits.resolve_axis("vocab").size == 60
    assert bool(jnp.isfinite(logits.array).all())


def test_without_a_key_new_rows_are_the_mean_of_the_old(model):
    larger = model.resize_vocab(53)
    mean = model.get_lm_head().array.mean(axis=0)
    np.testing.assert_allclose(larger.get_lm_head().array[50:], np.broadcast_to(mean, (3, 32)), rtol=1e-5, atol=1e-6)
    with pytest.raises(LevgenError, match="at least 1 token, got new_size=0"):
        model.resize_vocab(0)


class MoreTokens(LlamaLMHeadModel):
    """Two tokens are embedded that the head doesn't predict."""

    @classmethod
    def init(cls, Vocab, config, *, key):
        model = super().init(Vocab, config, key=key)
        more = LlamaLMHeadModel.init(Axis("token", Vocab.size + 2), config, key=key)
        return dataclasses.replace(model, embeddings=more.embeddings)

    @property
    def Tokens(self):
        return self.embeddings.Vocab


def test_tokens_after_the_vocabulary_stay_the_last():
    model = eqx.filter_jit(MoreTokens.init)(Vocab, LLAMA, key=KEY)
    table = model.embeddings.weight.array
    assert (model.vocab_size, model.Tokens.size) == (50, 52)
    for size in (40, 60):
        for key in (None, KEY):
            resized = model.resize_vocab(size, key=key)
            rows = resized.embeddings.weight.array
            assert (resized.vocab_size, resized.Tokens.size, len(rows)) == (size, size + 2, size + 2)
            assert resized.embeddings.Vocab == resized.Tokens
            np.testing.assert_array_equal(rows[-2:], table[-2:])
            np.testing.assert_array_equal(rows[: min(size, 50)], table[: min(size, 50)])
            if size > 50 and key is not None:
                assert np.abs(rows[50:60] - resized.get_lm_head().array[50:]).max() > 0.1, "drawn apart"
