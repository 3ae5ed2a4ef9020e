import equinox as eqx
import haliax as hax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("torch", reason="the reference is in torch")
import torch
from haliax import Axis
from haliax.nn.scan import Stacked
from haliax.state_dict import from_torch_compatible_state_dict, to_torch_compatible_state_dict
from numeric import normal, relative_error
from transformers.models.gemma.modeling_gemma import GemmaRMSNorm
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from levgen.runtime.norms import LayerNorm, RmsNorm

Batch, Pos, Embed = Axis("batch", 3), Axis("position", 5), Axis("embed", 48)
KVHeads, HeadSize = Axis("kv_head", 4), Axis("head_size", 12)
EPS = 1e-3  # large enough to show where it is added


def _torch_layer_norm(dim, eps):
    return torch.nn.LayerNorm(dim, eps=eps)


CASES = {
    "llama": (LlamaRMSNorm, lambda: RmsNorm.init(Embed, eps=EPS)),
    "gemma": (GemmaRMSNorm, lambda: RmsNorm.init(Embed, eps=EPS, offset=1.0)),
    "layer": (_torch_layer_norm, lambda: LayerNorm.init(Embed, eps=EPS)),
}


def _pair(name, dtype):
    """The reference and ours, with the same random parameters, in that dtype."""
    make, init = CASES[name]
    reference = make(Embed.size, eps=EPS)
    with torch.no_grad():
        for seed, parameter in enumerate(reference.parameters()):
            parameter.copy_(torch.tensor(np.asarray(normal(seed, Embed, std=0.5).array)))
    reference = reference.to(getattr(torch, dtype))
    state = {
        name: hax.named(parameter.detach().float().numpy(), Embed) for name, parameter in reference.named_parameters()
    }
    ours = eqx.tree_at(
        lambda norm: (norm.weight, norm.bias), init(), (state["weight"], state.get("bias")), is_leaf=lambda x: x is None
    )
    return reference, jax.tree.map(lambda x: x.astype(dtype), ours)


@pytest.mark.parametrize("name", CASES)
def test_fp32_values_and_gradients(name):
    reference, ours = _pair(name, "float32")
    x, probe = normal(10, Batch, Pos, Embed, std=0.1), normal(11, Batch, Pos, Embed)
    x_torch = torch.tensor(np.asarray(x.array), requires_grad=True)
    expected = reference(x_torch)
    gradients = torch.autograd.grad(
        (expected * torch.tensor(np.asarray(probe.array))).sum(), [x_torch, *reference.parameters()]
    )

    assert relative_error(ours(x), expected.detach().numpy()) < 1e-6
    of_x, of_norm = jax.grad(lambda x, norm: hax.sum(norm(x) * probe).scalar(), argnums=(0, 1))(x, ours)
    found = [of_x, *(array for array in (of_norm.weight, of_norm.bias) if array is not None)]
    for our, their in zip(found, gradients, strict=True):
        assert relative_error(our, their) < 1e-5


@pytest.mark.parametrize("name", CASES)
def test_bf16_agrees_to_the_last_bit(name):
    reference, ours = _pair(name, "bfloat16")
    x = normal(10, Batch, Pos, Embed).astype(jnp.bfloat16)
    with torch.no_grad():
        expected = reference(torch.tensor(np.asarray(x.array, dtype=np.float32)).bfloat16()).float().numpy()
    found = ours(x)

    assert found.dtype == jnp.bfloat16
    ulp = np.exp2(np.floor(np.log2(np.abs(expected) + 1e-30)) - 7)
    difference = np.abs(np.asarray(found.array, dtype=np.float32) - expected)
    assert (difference <= ulp).all()
    assert (difference == 0).mean() > 0.99


@pytest.mark.parametrize("kind", [RmsNorm, LayerNorm])
def test_statistics_in_fp32_survive_what_bf16_loses(kind):
    norm = kind.init(Embed, eps=1e-6)
    x = (normal(1, Batch, Embed, std=0.01) + 3.0).astype(jnp.bfloat16)
    exact = norm(x.astype(jnp.float32))
    assert relative_error(norm(x), exact) < 2**-7


@pytest.mark.parametrize("kind", [RmsNorm, LayerNorm])
def test_several_axes_are_one_flat_axis(kind):
    flat, split = kind.init(Embed, eps=EPS), kind.init((KVHeads, HeadSize), eps=EPS)
    weight = normal(2, KVHeads, HeadSize)
    split = eqx.tree_at(lambda norm: norm.weight, split, weight)
    flat = eqx.tree_at(lambda norm: norm.weight, flat, weight.flatten_axes((KVHeads, HeadSize), Embed))
    x = normal(3, Batch, KVHeads, Pos, HeadSize)  # the norm's axes aren't side by side
    found = split(x)

    assert found.axes == x.axes
    joined = found.rearrange((Batch, Pos, KVHeads, HeadSize)).array.reshape(3, 5, 48)
    expected = flat(x.rearrange((Batch, Pos, KVHeads, HeadSize)).flatten_axes((KVHeads, HeadSize), Embed))
    assert relative_error(joined, expected) < 1e-6


@pytest.mark.parametrize("kind", [RmsNorm, LayerNorm])
def test_no_parameters_means_no_leaves(kind):
    norm = kind.init(Embed, eps=EPS, use_weight=False, use_bias=False)
    assert jax.tree.leaves(norm) == []
    assert relative_error(hax.mean(hax.square(norm(normal(4, Batch, Embed))), Embed), np.ones(3)) < 1e-2


def test_a_fresh_gain_is_one_whatever_the_offset():
    x = normal(5, Batch, Embed)
    plain, gemma = RmsNorm.init(Embed, eps=EPS), RmsNorm.init(Embed, eps=EPS, offset=1.0)
    assert float(jnp.abs(gemma.weight.array).max()) == 0.0
    assert relative_error(gemma(x), plain(x)) < 1e-7


def test_the_state_dict_of_a_stack_has_flat_parameters_a_layer():
    Layers = Axis("layer", 3)

    class Layer(eqx.Module):
        q_norm: RmsNorm

        @staticmethod
        def init():
            return Layer(RmsNorm.init((KVHeads, HeadSize), eps=EPS, use_bias=True))

    stack = Stacked.init(Layers, Layer)()
    weight, bias = normal(6, Layers, KVHeads, HeadSize), normal(7, Layers, KVHeads, HeadSize)
    stack = eqx.tree_at(lambda s: (s.stacked.q_norm.weight, s.stacked.q_norm.bias), stack, (weight, bias))
    state = to_torch_compatible_state_dict(stack)

    assert sorted(state) == sorted(f"{i}.q_norm.{leaf}" for i in range(3) for leaf in ("weight", "bias"))
    np.testing.assert_array_equal(state["1.q_norm.weight"], weight.array[1].reshape(-1))
    back = from_torch_compatible_state_dict(Stacked.init(Layers, Layer)(), {k: np.asarray(v) for k, v in state.items()})
    np.testing.assert_array_equal(back.stacked.q_norm.weight.array, weight.array)
    np.testing.assert_array_equal(back.stacked.q_norm.bias.array, bias.array)
