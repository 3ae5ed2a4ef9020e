"""The catalogue: what each operator makes of a small model file, and that it is large enough."""

import ast
from functools import cache

import pytest

from levgen.prove.mutate.find import catalogue, mutations
from levgen.prove.mutate.operator import Mutation

SOURCE = '''
import math

import equinox as eqx
import haliax as hax
from levgen.runtime import AttentionMask, Embedding, Linear, LmConfig, RmsNorm, Rotary, activation


@LmConfig.register_subclass("tried")
class TriedConfig(LmConfig):
    hidden_dim: int = 8
    num_heads: int = 4
    norm_eps: float = 1e-6
    multiplier: float = 2.0
    cap: float = 3.0
    window: int = 5
    num_experts: int = 6
    num_expert_groups: int = 3
    num_kept_groups: int = 2
    use_bias: bool = False
    activation: str = "silu"
    rope: Rotary = Rotary(theta=100.0)

    Embed = property(lambda self: Axis("embed", self.hidden_dim))
    HeadSize = property(lambda self: Axis("head_size", self.hidden_dim // self.num_heads))
    Experts = property(lambda self: Axis("expert", self.num_experts))
    TopExperts = property(lambda self: Axis("top_expert", 2))
    Unused = property(lambda self: Axis("unused", self.hidden_dim))


class Attention(Module):
    q: Linear
    k: Linear
    norm: RmsNorm
    spare_norm: RmsNorm
    config: TriedConfig

    @staticmethod
    def init(config: TriedConfig, *, key) -> "Attention":
        k_q, k_k = jrandom.split(key)
        std = config.initializer_range
        residual_std = std / 2
        Query = (config.Embed, config.HeadSize)
        return Attention(
            q=Linear.init(config.Embed, Query, key=k_q, std=std, use_bias=config.use_bias),
            norm=RmsNorm.init(config.Embed, eps=config.norm_eps, offset=1.0),
            act=activation("silu"),
        )

    def __call__(self, x: NamedArray, mask: AttentionMask, pos_ids: NamedArray, windowed: NamedArray) -> NamedArray:
        """A docstring with 3 numbers, which stay."""
        HeadSize, rope = self.config.HeadSize, self.config.rope
        q, k = self.qk(x).unbind("qk")
        k = self.k(x)
        q = rope(self.norm(q), pos_ids, HeadSize)
        mask = mask.with_sliding_window(self.config.window, where=windowed)
        attended = dot_product_attention(q, k, x, mask, HeadSize=HeadSize, scale=HeadSize.size**-0.5)
        return x + self.config.cap * hax.tanh(attended / self.config.cap)


class Moe(Module):
    gate: Linear
    correction: NamedArray
    experts: Experts
    shared: Attention
    config: TriedConfig

    @staticmethod
    def init(config: TriedConfig, *, key) -> "Moe":
        return Moe(experts=Experts.init(config.Experts, in_files={"gate": "w1", "up": "w3", "down": "w2"}))

    def __call__(self, x: NamedArray) -> NamedArray:
        logits = self.gate(x)
        scores = hnn.softmax(logits, self.config.Experts)
        chosen, weights = top_experts(scores, self.config.TopExperts)
        return self.experts(x, chosen, weights, lambda gate, up: self.act(gate) * up)

    def of_groups(self, x: NamedArray) -> NamedArray:
        scores = self.gate(x)
        chosen, weights = top_experts(scores, self.config.TopExperts, bias=self.correction, groups=3, kept_groups=2)
        return self.experts(x, chosen, weights, self.gated)

    def of_chosen(self, x: NamedArray) -> NamedArray:
        logits = self.gate(x)
        chosen, weights = top_experts(logits, self.config.TopExperts)
        weights = hnn.softmax(weights, self.config.TopExperts)
        return self.experts(x, chosen, weights, self.gated)


class Model(Module):
    wte: Embedding
    wpe: Embedding
    head: Linear | None
    config: TriedConfig

    def activations(self, ids: NamedArray, attn_mask=None, *, pos_ids: NamedArray | None = None) -> NamedArray:
        if pos_ids is None:
            pos_ids = hax.arange(ids.resolve_axis("position"))
        mask = AttentionMask.of(attn_mask)
        return self.wte(ids)

    def get_lm_head(self) -> NamedArray:
        return self.wte.weight if self.head is None else self.head.weight

    def _state_dict_key_map(self) -> dict[str, str | None]:
        return {"wte": "model.wte", "wpe": "model.wpe"}
'''

# operator -> a text that it makes somewhere in the source above.
MADE = {
    "number_doubled": "scale=HeadSize.size**-1.0",
    "number_halved": "scale=HeadSize.size**-0.25",
    "number_stepped": "offset=0.0",
    "sign_flipped": "scale=HeadSize.size**0.5",
    "off_by_one": "scale=(HeadSize.size + 1)**-0.5",
    "operation_changed": "(self.hidden_dim * self.num_heads)",
    "left_dropped": "return x + hax.tanh(",
    "right_dropped": "return x\n",
    "operands_swapped": "(self.num_heads // self.hidden_dim)",
    "residual_added": "k = x + self.k(x)",
    "factor_added": "return (self.wte(ids)) * self.config.multiplier",
    "term_added": "return self.wte(ids) + self.wpe(pos_ids)",
    "module_added": "return self.experts(x, chosen, weights, self.gated) + self.shared(x)",
    "cap_added": "return self.config.cap * hax.tanh(self.wte(ids) / self.config.cap)",
    "function_changed": "hax.sin(attended",
    "call_skipped": "q = self.norm(q)\n",
    "method_skipped": "mask = mask\n",
    "call_inserted": "k = self.spare_norm(self.k(x))",
    "calls_swapped": "q = self.norm(rope(q, pos_ids, HeadSize))",
    "arguments_swapped": "dot_product_attention(k, q, x, mask, HeadSize=HeadSize",
    "keyword_dropped": "RmsNorm.init(config.Embed, eps=config.norm_eps)",
    "keyword_added": "rope(self.norm(q), pos_ids, HeadSize, layout='interleaved')",
    "flag_flipped": "use_bias=True",
    "gradient_stopped": 'self.k(__import__("jax").lax.stop_gradient(x))',
    "value_swapped": "dot_product_attention(k, k, x, mask",
    "deviation_swapped": "std=residual_std",
    "field_swapped": "k = self.q(x)",
    "unpacking_swapped": "k, q = self.qk(x)",
    "tuple_reordered": "Query = (config.HeadSize, config.Embed)",
    "condition_negated": "if pos_ids is not None:",
    "branch_forced": "return (self.head.weight)\n",
    "text_changed": 'activation("gelu")',
    "key_dropped": 'return {"wpe": "model.wpe"}',
    "config_unread": "eps=1e-6",
    "config_read": "act=activation(config.activation)",
    "config_other": "eps=config.multiplier",
    "axis_other": "RmsNorm.init(config.HeadSize, eps",
    "size_other": "scale=self.config.hidden_dim**-0.5",
    "mask_ignored": "mask = AttentionMask.causal()",
    "mask_opened": "mask = AttentionMask()",
    "mask_shifted": "mask = AttentionMask.causal(offset=1)",
    "mask_dropped": "dot_product_attention(q, k, x, None, HeadSize",
    "window_added": "x, mask.with_sliding_window(self.config.window, where=windowed), HeadSize",
    "window_inverted": "where=hax.logical_not(windowed)",
    "positions_shifted": "rope(self.norm(q), (pos_ids + 1), HeadSize)",
    "positions_reversed": "rope(self.norm(q), (-pos_ids), HeadSize)",
    "positions_forgotten": "rope(self.norm(q), (pos_ids * 0), HeadSize)",
    "positions_restarted": "rope(self.norm(q), hax.arange(pos_ids.resolve_axis('position')), HeadSize)",
    "rotation_added": "k = rope(self.k(x), pos_ids, HeadSize)",
    "choice_widened": 'Axis("top_expert", 2 + 1)',
    "choice_reversed": "top_experts(scores, self.config.TopExperts, bias=-2 * scores)",
    "scores_changed": "scores = hnn.sigmoid(logits)",
    "softmax_dropped": "scores = logits",
    "softmax_moved": "weights = hax.exp(weights - hnn.logsumexp(logits, self.config.Experts))",
    "softmax_added": "top_experts(hnn.softmax(logits, self.config.Experts), self.config.TopExperts)",
    "weights_normalized": "chosen, weights / hax.sum(weights, self.config.TopExperts), lambda",
    "correction_weighs": "top_experts(scores + self.correction, self.config.TopExperts, groups=3, kept_groups=2)",
    "correction_added": "top_experts(scores, self.config.TopExperts, bias=self.correction)",
    "weights_moved": "(x, chosen, weights, lambda gate, up: self.act(gate) * up, weigh_inputs=True)",
    "groups_ignored": "top_experts(scores, self.config.TopExperts, bias=self.correction)",
    "groups_judged": "bias=self.correction, groups=3, kept_groups=2, best_of_group=1)",
    "groups_added": "groups=self.config.num_expert_groups, kept_groups=self.config.num_kept_groups)",
    "lambda_swapped": "lambda up, gate: self.act(gate) * up",
    "files_swapped": '{"gate": "w3", "up": "w1", "down": "w2"}',
}

# Those that only mend, or need what the source above hasn't got: their fault -> what they make of it.
MENDED = {
    "mask_read": ("AttentionMask.of(attn_mask)", "AttentionMask.causal()", "mask = AttentionMask.of(attn_mask)"),
    "mask_handed_on": ("k, x, mask, HeadSize", "k, x, None, HeadSize", "k, x, mask, HeadSize"),
    "window_narrowed": (", where=windowed", "", "mask.with_sliding_window(self.config.window, where=windowed)"),
    "layout_flipped": ("pos_ids, HeadSize)", 'pos_ids, HeadSize, "interleaved")', 'pos_ids, HeadSize, "half")'),
    "temperature_dropped": ("k = self.k(x)", "k = tempered_queries(self.k(x), pos_ids, span=3)", "k = self.k(x)"),
    "fields_exchanged": ("k = self.k(x)", "k = self.q(x) * self.k(q)", "k = self.k(x) * self.q(q)"),
}


@cache
def every(source: str) -> list[Mutation]:
    return mutations(source, exhaustive=True)


def made(source: str, operator: str) -> list[Mutation]:
    return [found for found in every(source) if found.operator.name == operator]


def test_the_catalogue_is_large_and_every_operator_is_tried_here() -> None:
    assert len(catalogue()) >= 30
    assert set(catalogue()) == set(MADE) | set(MENDED)


@pytest.mark.parametrize("operator", MADE)
def test_an_operator_makes(operator: str) -> None:
    sources = [mutation.applied(SOURCE) for mutation in made(SOURCE, operator)]
    assert any(MADE[operator] in source for source in sources), sources and [
        mutation.lines(SOURCE)[1] for mutation in made(SOURCE, operator)
    ]
    assert all(source != SOURCE for source in sources)


@pytest.mark.parametrize("operator", MENDED)
def test_an_operator_mends(operator: str) -> None:
    right, wrong, mended = MENDED[operator]
    assert right in SOURCE
    source = SOURCE.replace(right, wrong)
    assert any(mended in mutation.applied(source) for mutation in made(source, operator))


def test_every_edit_is_python_and_told_once() -> None:
    found = every(SOURCE)
    for mutation in found:
        ast.parse(mutation.applied(SOURCE))
    assert len({mutation.applied(SOURCE) for mutation in found}) == len(found)


def test_what_touches_no_value_is_left_alone() -> None:
    for mutation in every(SOURCE):
        before, after = mutation.lines(SOURCE)
        assert "jrandom.split" not in before
        assert "3 numbers" not in before, "a docstring"
        assert "Unused" not in before, "an axis that nothing reads"
        assert before.count("key=k_q") == after.count("key=k_q")


def test_an_edit_says_where_it_is_and_what_it_touches() -> None:
    [mutation] = [m for m in made(SOURCE, "config_unread") if m.after == "1e-6"]
    assert (mutation.where, mutation.owner, mutation.kind) == ("Attention.init", "Attention", "eps")
    assert mutation.lines(SOURCE) == (
        "norm=RmsNorm.init(config.Embed, eps=config.norm_eps, offset=1.0),",
        "norm=RmsNorm.init(config.Embed, eps=1e-6, offset=1.0),",
    )
    assert "-            norm=RmsNorm.init(config.Embed, eps=config.norm_eps, offset=1.0)," in mutation.diff(
        SOURCE, "x.py"
    )


def test_a_file_without_a_config_is_refused() -> None:
    with pytest.raises(ValueError, match="registers no config"):
        mutations("class A:\n    x: int = 1\n")
