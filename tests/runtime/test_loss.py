import functools
import math

import equinox as eqx
import haliax as hax
import haliax.nn as hnn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("torch", reason="the reference is in torch")
import torch
from haliax import Axis, NamedArray
from haliax.jax_utils import shaped_rng_split
from haliax.nn.scan import Stacked
from jax.extend.core import jaxprs_in_params
from numeric import normal, relative_error

from levgen.errors import LevgenError
from levgen.runtime.loss import next_token_loss
from levgen.runtime.projections import Embedding, Linear

Batch, Pos, Embed, Vocab = Axis("batch", 3), Axis("position", 14), Axis("embed", 16), Axis("vocab", 37)
TOKENS = hax.named(jnp.asarray(np.random.default_rng(0).integers(0, 37, (3, 14))), (Batch, Pos))
WEIGHT = hax.named(jnp.asarray(np.random.default_rng(1).random((3, 14)) * (np.arange(14) % 3 != 1)), (Batch, Pos))
WEIGHT = WEIGHT.astype(jnp.float32)
# Of 42 tokens: one block, blocks that fill the positions evenly, blocks with padding, one position a block.
BLOCKS = {"whole": None, "even": 21, "padded": 12, "single": 1}


class Tied(eqx.Module):
    """An embedding that is the head too, beside parameters that the head doesn't use."""

    embeddings: hnn.Embedding
    body: hnn.Linear
    scale: jax.Array

    def hidden(self, tokens):
        return hax.tanh(self.body(self.embeddings(tokens)).rename({"out": "embed"}))

    def logits(self, hidden):
        return hax.dot(hidden, self.embeddings.weight, axis="embed") * self.scale


@functools.cache
def model():
    keys = jax.random.split(jax.random.PRNGKey(0), 2)
    body = Linear.init(Embed, Axis("out", 16), key=keys[1], std=0.3, use_bias=True)
    return Tied(Embedding.init(Vocab, Embed, key=keys[0], std=0.5), body, jnp.asarray(1.3))


def plain(logits, weight, *, z=0.0, reduction="mean"):
    """The loss by the letter, from all logits; `logits` {batch, position, vocab}."""
    logits = logits.rearrange((Batch, Pos, Vocab)).array.astype(jnp.float32)
    normaliser = jax.nn.logsumexp(logits, axis=-1)
    targets = jnp.roll(TOKENS.array, -1, axis=1)
    losses = normaliser - jnp.take_along_axis(logits, targets[..., None], axis=-1)[..., 0] + z * normaliser**2
    weight = (jnp.ones((3, 14)) if weight is None else weight.array) * (jnp.arange(14) < 13)
    if reduction == "mean":
        return (losses * weight).sum() / weight.sum()
    return (losses * weight).sum() if reduction == "sum" else losses * weight


@pytest.mark.parametrize("blocks", BLOCKS)
@pytest.mark.parametrize(
    ("reduction", "z", "weight"), [("mean", 0.0, None), ("mean", 0.01, WEIGHT), ("sum", 0.01, WEIGHT)]
)
def test_values_and_gradients_are_those_of_the_plain_loss(blocks, reduction, z, weight):
    how = {"mean": hax.mean, "sum": hax.sum}[reduction]

    def ours(model):
        hidden = model.hidden(TOKENS)
        loss = next_token_loss(
            hidden,
            model.logits,
            TOKENS,
            weight,
            Vocab=Vocab,
            reduction=how,
            logsumexp_weight=z,
            block_tokens=BLOCKS[blocks],
        )
        return loss.scalar()

    def theirs(model):
        return plain(model.logits(model.hidden(TOKENS)), weight, z=z, reduction=reduction)

    value, gradient = eqx.filter_jit(eqx.filter_value_and_grad(ours))(model())
    expected, expected_gradient = eqx.filter_jit(eqx.filter_value_and_grad(theirs))(model())
    assert relative_error(value, expected) < 1e-6
    assert relative_error(ours(model()), expected) < 1e-6  # not differentiated: another path
    found, wanted = jax.tree.leaves(gradient), jax.tree.leaves(expected_gradient)
    assert len(found) == len(wanted) == 4
    for our, their in zip(found, wanted, strict=True):
        assert relative_error(our, their) < 1e-5


@pytest.mark.parametrize("blocks", BLOCKS)
def test_without_reduction_each_position_has_its_loss(blocks):
    def ours(model, **options):
        hidden = model.hidden(TOKENS)
        return next_token_loss(
            hidden, model.logits, TOKENS, WEIGHT, Vocab=Vocab, block_tokens=BLOCKS[blocks], **options
        )

    expected = plain(model().logits(model().hidden(TOKENS)), WEIGHT, reduction=None)
    found = ours(model(), reduction=None)
    assert found.axes == (Batch, Pos)
    assert relative_error(found, expected) < 1e-6

    by_row = ours(model(), reduction_axis=Pos)
    weight = np.asarray(WEIGHT.array) * (np.arange(14) < 13)
    assert relative_error(by_row, np.asarray(expected).sum(axis=1) / weight.sum(axis=1)) < 1e-6

    probe = normal(4, Batch, Pos)
    gradient = eqx.filter_grad(lambda m: hax.sum(ours(m, reduction=None) * probe).scalar())(model())
    wanted = eqx.filter_grad(lambda m: (plain(m.logits(m.hidden(TOKENS)), WEIGHT, reduction=None) * probe.array).sum())(
        model()
    )
    for our, their in zip(jax.tree.leaves(gradient), jax.tree.leaves(wanted), strict=True):
        assert relative_error(our, their) < 1e-5


def test_the_shift_is_that_of_transformers():
    from transformers.loss.loss_utils import ForCausalLMLoss

    logits = model().logits(model().hidden(TOKENS)).rearrange((Batch, Pos, Vocab))
    expected = ForCausalLMLoss(
        torch.tensor(np.asarray(logits.array)), torch.tensor(np.asarray(TOKENS.array)).long(), 37
    )
    found = next_token_loss(model().hidden(TOKENS), model().logits, TOKENS, Vocab=Vocab)
    assert relative_error(found, expected) < 1e-6


@pytest.mark.parametrize("blocks", ["whole", "padded"])
def test_weights_have_gradients_and_ignored_tokens_none(blocks):
    hidden = model().hidden(TOKENS)

    def ours(hidden, weight):
        loss = next_token_loss(hidden, model().logits, TOKENS, weight, Vocab=Vocab, block_tokens=BLOCKS[blocks])
        return loss.scalar()

    def theirs(hidden, weight):
        return plain(model().logits(hidden), weight)

    found = jax.grad(ours, argnums=(0, 1))(hidden, WEIGHT)
    wanted = jax.grad(theirs, argnums=(0, 1))(hidden, WEIGHT)
    for our, their in zip(found, wanted, strict=True):
        assert relative_error(our, their) < 1e-5
    ignored = np.asarray(WEIGHT.array) * (np.arange(14) < 13) == 0
    assert ignored.sum() > 10
    assert not np.asarray(found[0].rearrange((Batch, Pos, Embed)).array)[ignored].any()


@pytest.mark.parametrize("blocks", ["whole", "padded"])
def test_no_weight_at_all_is_a_loss_of_zero(blocks):
    def ours(model):
        weight = hax.zeros((Batch, Pos))
        options = {"Vocab": Vocab, "block_tokens": BLOCKS[blocks]}
        return next_token_loss(model.hidden(TOKENS), model.logits, TOKENS, weight, **options).scalar()

    value, gradient = eqx.filter_value_and_grad(ours)(model())
    assert float(value) == 0.0
    assert not any(np.asarray(leaf).any() for leaf in jax.tree.leaves(gradient))


@pytest.mark.parametrize("blocks", ["whole", "padded"])
def test_an_id_outside_the_vocabulary_is_harmless_without_weight(blocks):
    outside = TOKENS.array.at[:, 5].set(-100).at[:, 9].set(10**6)
    weight = WEIGHT * hax.named(jnp.ones(14).at[4].set(0).at[8].set(0), Pos)
    hidden, options = model().hidden(TOKENS), {"Vocab": Vocab, "block_tokens": BLOCKS[blocks]}
    found = next_token_loss(hidden, model().logits, hax.named(outside, (Batch, Pos)), weight, **options)
    assert relative_error(found, next_token_loss(hidden, model().logits, TOKENS, weight, **options)) < 1e-7


@pytest.mark.parametrize("blocks", ["whole", "padded"])
def test_bf16_states_have_an_fp32_loss(blocks):
    half = jax.tree.map(lambda x: x.astype(jnp.bfloat16), model())

    def ours(model):
        hidden = model.hidden(TOKENS)
        assert hidden.dtype == jnp.bfloat16
        loss = next_token_loss(hidden, model.logits, TOKENS, WEIGHT, Vocab=Vocab, block_tokens=BLOCKS[blocks])
        return loss.scalar()

    value, gradient = eqx.filter_jit(eqx.filter_value_and_grad(ours))(half)
    exact, wanted = eqx.filter_value_and_grad(lambda m: plain(m.logits(m.hidden(TOKENS)), WEIGHT))(model())
    assert value.dtype == jnp.float32
    assert abs(float(value) - float(exact)) < 0.02
    assert {leaf.dtype for leaf in jax.tree.leaves(gradient)} == {jnp.dtype(jnp.bfloat16)}
    for our, their in zip(jax.tree.leaves(gradient), jax.tree.leaves(wanted), strict=True):
        assert relative_error(our.astype(jnp.float32), their) < 0.05


def test_a_head_that_is_frozen_gets_no_gradient():
    hidden, head = model().hidden(TOKENS), model()

    def ours(hidden):
        return next_token_loss(hidden, head.logits, TOKENS, Vocab=Vocab, block_tokens=12).scalar()

    assert relative_error(jax.grad(ours)(hidden), jax.grad(lambda h: plain(head.logits(h), None))(hidden)) < 1e-5
    # The gradient of a matrix is a product over tokens: there is none of the embedding's shape.
    shapes = [
        out.aval.shape
        for equation in _equations(jax.make_jaxpr(jax.grad(ours))(hidden).jaxpr)
        if equation.primitive.name == "dot_general"
        for out in equation.outvars
    ]
    assert (37, 16) not in shapes
    assert (16, 37) not in shapes


def test_under_a_scanned_model():
    Layers = Axis("layer", 3)

    class Layer(eqx.Module):
        body: hnn.Linear

        @staticmethod
        def init(*, key):
            return Layer(Linear.init(Embed, Axis("out", 16), key=key, std=0.3, use_bias=True))

        def __call__(self, x):
            return x + hax.tanh(self.body(x).rename({"out": "embed"}))

    class Model(eqx.Module):
        embeddings: hnn.Embedding
        layers: Stacked[Layer]

        def hidden(self, tokens):
            return self.layers.fold(self.embeddings(tokens))

        def logits(self, hidden):
            return self.embeddings.unembed(hidden)

    keys = jax.random.split(jax.random.PRNGKey(1), 2)
    layers = Stacked.init(Layers, Layer, gradient_checkpointing=True)(key=shaped_rng_split(keys[0], 3))
    deep = Model(Embedding.init(Vocab, Embed, key=keys[1], std=0.5), layers)

    def ours(m):
        return next_token_loss(m.hidden(TOKENS), m.logits, TOKENS, WEIGHT, Vocab=Vocab, block_tokens=12).scalar()

    value, gradient = eqx.filter_jit(eqx.filter_value_and_grad(ours))(deep)
    expected, wanted = eqx.filter_value_and_grad(lambda m: plain(m.logits(m.hidden(TOKENS)), WEIGHT))(deep)
    assert relative_error(value, expected) < 1e-6
    for our, their in zip(jax.tree.leaves(gradient), jax.tree.leaves(wanted), strict=True):
        assert relative_error(our, their) < 1e-5


def _equations(jaxpr):
    """Those of a jaxpr and of all jaxprs within."""
    for equation in jaxpr.eqns:
        yield equation
        for sub in jaxprs_in_params(equation.params):
            yield from _equations(sub)


@pytest.mark.parametrize("reduction", [hax.mean, None])
def test_no_array_holds_all_logits(reduction):
    Long, Wide, Words, Rows = Axis("position", 2048), Axis("embed", 64), Axis("vocab", 131072), Axis("batch", 4)
    tokens = 4 * 2048

    def loss(hidden, head, ids):
        found = next_token_loss(
            NamedArray(hidden, (Rows, Long, Wide)),
            lambda states: hax.dot(states, NamedArray(head, (Words, Wide)), axis=Wide),
            NamedArray(ids, (Rows, Long)),
            Vocab=Words,
            reduction=reduction,
        )
        return found.array.sum()

    shapes = [(4, 2048, 64), (131072, 64)]
    arguments = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    ids = jax.ShapeDtypeStruct((4, 2048), jnp.int32)
    jaxpr = jax.make_jaxpr(jax.value_and_grad(loss, argnums=(0, 1)))(*arguments, ids)
    sizes = [math.prod(out.aval.shape) for equation in _equations(jaxpr.jaxpr) for out in equation.outvars]
    assert max(sizes) == 256 * 131072  # the logits of one block
    assert tokens * 131072 == 32 * max(sizes)


def test_a_head_or_tokens_of_other_axes_are_refused():
    hidden = model().hidden(TOKENS)
    with pytest.raises(LevgenError, match="head must give"):
        next_token_loss(hidden, lambda x: x, TOKENS, Vocab=Vocab)
    with pytest.raises(LevgenError, match="'position'"):
        next_token_loss(hidden, model().logits, TOKENS.rename({"position": "time"}), Vocab=Vocab)
    with pytest.raises(LevgenError, match="tokens must have"):
        next_token_loss(hidden, model().logits, TOKENS["batch", 0], Vocab=Vocab)
