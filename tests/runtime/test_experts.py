"""Routers and experts against blocks of transformers: values, gradients, and the balance loss."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import haliax as hax
import haliax.nn as hnn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from haliax import Axis, NamedArray
from numeric import normal, relative_error

pytest.importorskip("torch")
pytest.importorskip("transformers")

import torch
from haliax.state_dict import ModuleWithStateDictSerialization
from transformers.models.dbrx.configuration_dbrx import DbrxConfig
from transformers.models.dbrx.modeling_dbrx import DbrxFFN
from transformers.models.glm4_moe.modeling_glm4_moe import Glm4MoeConfig, Glm4MoeMoE
from transformers.models.gpt_oss.modeling_gpt_oss import GptOssConfig, GptOssMLP
from transformers.models.llama4.modeling_llama4 import Llama4TextConfig, Llama4TextMoe
from transformers.models.mixtral.modeling_mixtral import (
    MixtralConfig,
    MixtralSparseMoeBlock,
    load_balancing_loss_func,
)
from transformers.models.phimoe.modeling_phimoe import PhimoeConfig, PhimoeSparseMoeBlock
from transformers.models.qwen3_moe.modeling_qwen3_moe import Qwen3MoeConfig, Qwen3MoeSparseMoeBlock

from levgen.runtime import Experts, Linear, activation, load_balancing_loss, router_z_loss, sparse_mixer, top_experts
from levgen.runtime.routing import Routing
from levgen.runtime.testing import module_from_torch, randomize, to_torch

Batch, Pos, Embed, Mlp, Expert = (
    Axis("batch", 2),
    Axis("position", 33),
    Axis("embed", 24),
    Axis("mlp", 40),
    Axis("expert", 8),
)
Chosen = Axis("top_expert", 3)
SIZES = {"hidden_size": Embed.size, "num_experts_per_tok": Chosen.size, "hidden_act": "silu"}
Router = Callable[[NamedArray, "Block"], tuple[NamedArray, NamedArray]]
act = activation("silu")


class Block(ModuleWithStateDictSerialization):
    """A router and its experts, put together as a model's file does."""

    gate: Linear
    correction: NamedArray | None
    experts: Experts
    route: Router = eqx.field(static=True)
    gated: Any = eqx.field(static=True)
    weigh_inputs: bool = eqx.field(static=True)
    names: tuple[tuple[str, str], ...] = eqx.field(static=True)

    @staticmethod
    def init(
        route: Router,
        *,
        gated: Any = lambda gate, up: act(gate) * up,
        correction: bool = False,
        bias: bool = False,
        router: str = "gate",
        weigh_inputs: bool = False,
        **experts: Any,
    ) -> "Block":
        key = jax.random.PRNGKey(0)
        return Block(
            Linear.init(Embed, Expert, key=key, std=1.0, use_bias=bias),
            hax.zeros(Expert) if correction else None,
            Experts.init(Expert, Embed, Mlp, key=key, std=1.0, use_bias=bias, **experts),
            route,
            gated,
            weigh_inputs,
            (("gate", router), ("correction", "gate.e_score_correction_bias")),
        )

    def __call__(self, x: NamedArray) -> NamedArray:
        chosen, weights = self.route(self.gate(x), self)
        return self.experts(x, chosen, weights, self.gated, weigh_inputs=self.weigh_inputs)

    def _state_dict_key_map(self) -> dict[str, str | None]:
        return dict(self.names)


def _before(logits: NamedArray, block: Block) -> tuple[NamedArray, NamedArray]:
    return top_experts(hnn.softmax(logits, Expert), Chosen)


def _before_normalised(logits: NamedArray, block: Block) -> tuple[NamedArray, NamedArray]:
    chosen, weights = _before(logits, block)
    return chosen, weights / hax.sum(weights, Chosen)


def _after(logits: NamedArray, block: Block) -> tuple[NamedArray, NamedArray]:
    chosen, weights = top_experts(logits, Chosen)
    return chosen, hnn.softmax(weights, Chosen)


def _over_norm(logits: NamedArray, block: Block) -> tuple[NamedArray, NamedArray]:
    chosen, weights = _before(logits, block)
    return chosen, weights / hax.sum(weights**0.7, Chosen) ** (1 / 0.7)


def _mixed(logits: NamedArray, block: Block) -> tuple[NamedArray, NamedArray]:
    return sparse_mixer(logits, Chosen.resize(2), jitter=0.2)


def _grouped(logits: NamedArray, block: Block) -> tuple[NamedArray, NamedArray]:
    scores = hnn.sigmoid(logits)
    chosen, weights = top_experts(scores, Chosen, bias=block.correction, groups=4, kept_groups=2)
    return chosen, weights / hax.sum(weights, Chosen) * 1.7


def _clamped(gate: NamedArray, up: NamedArray) -> NamedArray:
    gate, up = hax.minimum(gate, 0.9), hax.clip(up, -0.9, 0.9)
    return gate * hnn.sigmoid(1.702 * gate) * (up + 1)


def _sigmoid(logits: NamedArray, block: Block) -> tuple[NamedArray, NamedArray]:
    return top_experts(hnn.sigmoid(logits), Chosen)


EACH = {"gate": "gate_proj", "up": "up_proj", "down": "down_proj"}


class _Zero(torch.nn.Module):
    def forward(self, x: Any) -> Any:
        return torch.zeros_like(x)


def _dbrx() -> Any:
    ffn = {"ffn_hidden_size": Mlp.size, "moe_num_experts": Expert.size, "moe_top_k": Chosen.size}
    return DbrxFFN(DbrxConfig(d_model=Embed.size, ffn_config={**ffn, "moe_normalize_expert_weights": 0.7}))


def _glm4_moe() -> Any:
    """Without its shared expert, which is a plain MLP."""
    config = Glm4MoeConfig(
        **SIZES,
        moe_intermediate_size=Mlp.size,
        n_routed_experts=Expert.size,
        n_group=4,
        topk_group=2,
        norm_topk_prob=True,
        routed_scaling_factor=1.7,
    )
    block = Glm4MoeMoE(config)
    block.shared_experts = _Zero()
    return block


def _llama4() -> Any:
    """Without its shared expert, which is a plain MLP."""
    config = Llama4TextConfig(**SIZES, intermediate_size=Mlp.size, num_local_experts=Expert.size)
    block = Llama4TextMoe(config)
    block.shared_expert = _Zero()
    return block


BLOCKS: dict[str, tuple[Callable[[], Any], Callable[[], Block]]] = {
    "softmax before, normalised": (
        lambda: MixtralSparseMoeBlock(
            MixtralConfig(**SIZES, intermediate_size=Mlp.size, num_local_experts=Expert.size)
        ),
        lambda: Block.init(_before_normalised, in_files={"gate": "w1", "up": "w3", "down": "w2"}),
    ),
    "softmax before": (
        lambda: Qwen3MoeSparseMoeBlock(
            Qwen3MoeConfig(**SIZES, moe_intermediate_size=Mlp.size, num_experts=Expert.size, norm_topk_prob=False)
        ),
        lambda: Block.init(_before, in_files=EACH),
    ),
    "sigmoid, groups, correction, scaled": (
        _glm4_moe,
        lambda: Block.init(_grouped, correction=True, in_files=EACH),
    ),
    "one after the other, shared": (
        lambda: PhimoeSparseMoeBlock(
            PhimoeConfig(**SIZES, intermediate_size=Mlp.size, num_local_experts=Expert.size, router_jitter_noise=0.2)
        ).eval(),
        lambda: Block.init(_mixed, in_files=None, router="router"),
    ),
    "sigmoid, of what goes in": (
        _llama4,
        lambda: Block.init(_sigmoid, weigh_inputs=True, in_files=None, transposed=True, router="router"),
    ),
    "softmax before, over a norm, rows of all experts in one matrix": (
        _dbrx,
        lambda: Block.init(
            _over_norm, in_files={"gate": "mlp.w1", "up": "mlp.v1", "down": "mlp.w2"}, flat=True, router="router.layer"
        ),
    ),
    "softmax after, biases, clamped, interleaved": (
        lambda: GptOssMLP(
            GptOssConfig(**SIZES, intermediate_size=Mlp.size, num_local_experts=Expert.size, swiglu_limit=0.9)
        ),
        lambda: Block.init(
            _after, gated=_clamped, bias=True, in_files=None, transposed=True, interleaved=True, router="router"
        ),
    ),
}


def _pair(case: str) -> tuple[Any, Block]:
    make_theirs, make_ours = BLOCKS[case]
    torch.manual_seed(0)
    theirs = randomize(make_theirs())
    theirs.experts.config = type("Eager", (), {"_experts_implementation": "eager"})
    return theirs, module_from_torch(make_ours(), theirs)


@pytest.mark.parametrize("case", BLOCKS)
def test_block_equals_reference(case: str) -> None:
    theirs, ours = _pair(case)
    x, pull = normal(1, Batch, Pos, Embed), normal(2, Batch, Pos, Embed)
    hidden = to_torch(x).requires_grad_()
    expected = theirs(hidden)
    expected = expected[0] if isinstance(expected, tuple) else expected
    expected = expected.reshape(hidden.shape)
    (expected * to_torch(pull)).sum().backward()

    def loss(pair: tuple[Block, NamedArray]) -> jax.Array:
        return hax.sum(pair[0](pair[1]) * pull).scalar()

    assert relative_error(eqx.filter_jit(ours)(x), expected.detach()) < 1e-5
    of_block, of_x = eqx.filter_jit(eqx.filter_grad(loss))((ours, x))
    assert relative_error(of_x, hidden.grad) < 1e-4
    router = theirs.router if hasattr(theirs, "router") else theirs.gate
    assert relative_error(of_block.gate.weight, getattr(router, "layer", router).weight.grad) < 1e-4
    down = of_block.experts.down_proj.array
    if ours.experts.flat:
        expected_down = theirs.experts.mlp.w2.grad.view(down.shape)
    else:
        down, expected_down = (
            down if ours.experts.transposed else down.swapaxes(1, 2),
            theirs.experts.down_proj.grad,
        )
    assert relative_error(down, expected_down) < 1e-4


def test_order_of_tokens_changes_nothing() -> None:
    _, ours = _pair("softmax before")
    x = normal(1, Pos, Embed)
    order = np.random.default_rng(3).permutation(Pos.size)
    shuffled = hax.named(x.array[order], (Pos, Embed))
    np.testing.assert_allclose(ours(shuffled).array, ours(x).array[order], rtol=1e-6, atol=1e-6)


def test_of_equal_scores_the_first_are_chosen() -> None:
    """Whatever else is in the batch: tokens that are alike go to the same experts."""
    scores = hax.named(jnp.asarray([[1.0, 2.0, 2.0, 2.0, 0.0], [0.0, 0.0, 0.0, 0.0, 0.0]]), ("position", "expert"))
    chosen, weights = top_experts(scores, Axis("top_expert", 2))
    assert chosen.array.tolist() == [[1, 2], [0, 1]]
    assert weights.array.tolist() == [[2.0, 2.0], [0.0, 0.0]]


def test_a_correction_chooses_and_does_not_weigh() -> None:
    scores = hax.named(jnp.asarray([0.1, 0.2, 0.3]), "expert")
    bias = hax.named(jnp.asarray([5.0, 0.0, 0.0]), "expert")
    chosen, weights = top_experts(scores, Axis("top_expert", 2), bias=bias)
    assert chosen.array.tolist() == [0, 2]
    np.testing.assert_allclose(weights.array, [0.1, 0.3])


def test_experts_of_other_groups_may_count_as_zero() -> None:
    """And no groups are what None says."""
    scores = hax.named(jnp.asarray([0.9, 0.8, 0.3, 0.2]), "expert")
    bias = hax.named(jnp.asarray([-0.5, -1.0, -0.5, -0.5]), "expert")
    Two = Axis("top_expert", 2)
    groups: dict[str, int | None] = {"groups": 2, "kept_groups": 1, "best_of_group": 1}
    assert top_experts(scores, Two, bias=bias, **groups)[0].array.tolist() == [0, 1]
    chosen, weights = top_experts(scores, Two, bias=bias, other_groups=0.0, **groups)
    assert chosen.array.tolist() == [0, 2]
    np.testing.assert_allclose(weights.array, [0.9, 0.3])
    assert top_experts(scores, Two, bias=bias, groups=None, kept_groups=None)[0].array.tolist() == [0, 1]


def test_balance_loss_equals_reference() -> None:
    layers = [normal(seed, Batch, Pos, Expert, std=2.0) for seed in (1, 2)]
    routings = [Routing.of(logits, Chosen) for logits in layers]
    both = jax.tree.map(lambda a, b: a + b, *routings)
    flat = tuple(to_torch(logits).reshape(-1, Expert.size) for logits in layers)
    expected = load_balancing_loss_func(flat, Expert.size, Chosen.size)
    assert relative_error(load_balancing_loss(both), expected) < 1e-6
    squares = torch.stack(flat).logsumexp(-1).square().mean()
    assert relative_error(router_z_loss(both), squares) < 1e-6


def test_bad_groups_and_too_many_experts_are_refused() -> None:
    from levgen.errors import LevgenError

    scores = hax.zeros((Pos, Expert))
    with pytest.raises(LevgenError, match="9 experts a token are to be chosen, and there are 8"):
        top_experts(scores, Chosen.resize(9))
    with pytest.raises(LevgenError, match="can't be cut into 3 groups"):
        top_experts(scores, Chosen, groups=3, kept_groups=2)
    with pytest.raises(LevgenError, match="5 experts a token are to be chosen, and 1 of 2 groups have 4"):
        top_experts(scores, Chosen.resize(5), groups=2, kept_groups=1)


def test_a_choice_is_shared_with_those_nearly_as_good() -> None:
    logits = hax.named(
        jnp.asarray([[1.0, 0.7, 0.5, -3.0], [0.0, 0.0, 0.0, 0.0], [-1.0, -1.3, -9.0, -9.0]]), ("x", "expert")
    )
    chosen, weights = sparse_mixer(logits, Axis("top_expert", 2), jitter=0.2)
    assert chosen.array.tolist() == [[0, 1], [0, 1], [0, 1]]
    shared = 1 / (1 + np.exp(-0.3))
    np.testing.assert_allclose(weights.array[0], [shared, 1 / (1 + np.exp(-0.2))], rtol=1e-6)
    np.testing.assert_allclose(weights.array[1:], [[1 / 4, 1 / 3], [shared, 1.0]], rtol=1e-6)
