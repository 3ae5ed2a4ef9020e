"""What the reference gives in place of a module of ours: all around it is compared, and a fault around it shows."""

import equinox as eqx
import haliax as hax
import jax
import pytest

pytest.importorskip("torch", reason="the reference is in torch")
from llama_model import LlamaAttention, LlamaLMHeadModel, LlamaMlp
from references import TOKENS, llama

from levgen.errors import LevgenError
from levgen.runtime.parity import Ported
from levgen.runtime.stand_in import Stub, stand_in
from levgen.runtime.testing import load_from_torch, relative_error

MLP, ATTENTION = "model.layers.{}.mlp", "model.layers.{}.self_attn"


class Unwritten(eqx.Module):
    """In the place of a module that nobody wrote."""

    def __call__(self, *_args, **_more):
        raise NotImplementedError("to be written")


@pytest.fixture(scope="module")
def ported():
    reference = llama()
    return Ported(reference, load_from_torch(LlamaLMHeadModel, reference))


def _without(ported, module):
    """`ported` with `module` of every layer unwritten."""
    model = jax.tree.map(
        lambda x: Unwritten() if isinstance(x, module) else x, ported.model, is_leaf=lambda x: isinstance(x, module)
    )
    return Ported(ported.reference, model)


def _stub(ported, path):
    return Stub(Unwritten, path, ported.model.config.Embed)


def _error(around, expected):
    return relative_error(eqx.filter_jit(lambda model: model(TOKENS))(around.model), expected)


@pytest.mark.parametrize(("module", "path"), [(LlamaMlp, MLP), (LlamaAttention, ATTENTION)], ids=["mlp", "attention"])
def test_logits_and_gradients_around_a_stub_are_the_references(ported, module, path):
    unwritten = _without(ported, module)
    with pytest.raises(NotImplementedError):
        _error(unwritten, 0.0)
    around = stand_in(unwritten, [_stub(ported, path)], TOKENS)
    assert relative_error(around.logits(TOKENS), ported.logits(TOKENS)) == 0.0
    assert _error(around, ported.logits(TOKENS)) < 1e-5
    ours, expected = around.gradients(TOKENS), around.reference_gradients(TOKENS)
    inside = path.format(1)
    assert not any(name.startswith(inside) for name in expected)
    assert any(name.startswith("model.layers.1.input_layernorm") for name in expected)
    assert max(relative_error(ours[name], gradient) for name, gradient in expected.items()) < 1e-4


def test_two_stubs_at_once(ported):
    stubs = [Stub(LlamaMlp, MLP, ported.model.config.Embed), Stub(LlamaAttention, ATTENTION, ported.model.config.Embed)]
    assert _error(stand_in(ported, stubs, TOKENS), ported.logits(TOKENS)) < 1e-5


def test_a_fault_before_a_stub_shows(ported):
    """What is wrong may reach the logits through the stub alone: here, in the norm before it."""
    around = stand_in(_without(ported, LlamaMlp), [_stub(ported, MLP)], TOKENS)
    norms = around.model.transformer.layers.stacked.post_attention_layernorm
    wrong = eqx.tree_at(
        lambda model: model.transformer.layers.stacked.post_attention_layernorm.weight, around.model, norms.weight * 1.1
    )
    assert _error(Ported(around.reference, wrong), ported.logits(TOKENS)) > 1e-3


def test_a_stand_in_is_exact_where_it_is_given_the_same_only(ported):
    around = stand_in(_without(ported, LlamaMlp), [_stub(ported, MLP)], TOKENS)
    layer = jax.tree.map(lambda x: x, around.model.transformer.layers.stacked.mlp)
    given = layer.given["layer", 0]
    once = eqx.tree_at(lambda s: (s.given, s.gave), layer, (given, layer.gave["layer", 0]))
    assert bool(hax.all(once(given) == once.gave))
    assert float(hax.max(hax.abs(once(given + 1) - once.gave - 1)).array) < 1e-5


def test_what_is_not_there_is_named(ported):
    with pytest.raises(LevgenError, match=r"has no module 'model\.layers\.0\.mixer'"):
        stand_in(ported, [Stub(LlamaMlp, "model.layers.{}.mixer", ported.model.config.Embed)], TOKENS)
    with pytest.raises(LevgenError, match="no stack of layers of LlamaLMHeadModel holds a Unwritten"):
        stand_in(ported, [_stub(ported, MLP)], TOKENS)
