"""Known models with one small change each. A change is made to a model that has just been built.

Attentions and the rest are run as transformers writes them, with the change at one place.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from transformers import (
    ApertusConfig,
    ApertusForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    GraniteMoeSharedConfig,
    GraniteMoeSharedForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

from levgen.reference.find import Found

Change = Callable[[Any], None]


@dataclass(frozen=True)
class Oddity:
    """`change` is made to each model of `base`. `right`: the answers that the survey gives, where it is not 'unknown'.

    `same`: the change is none, to the model's function. `rare`: surveyed by the exhaustive tests only.
    """

    name: str
    change: Change
    base: tuple[Any, Any] = (LlamaConfig, LlamaForCausalLM)
    right: dict[str, Any] = field(default_factory=dict)
    same: bool = False
    rare: bool = False

    def found(self) -> Found:
        """The changed model as an implementation that the survey can build."""
        config_class, model_class = self.base
        change = self.change

        def init(self: Any, config: Any) -> None:
            model_class.__init__(self, config)
            change(self)

        odd = type(f"Odd{model_class.__name__}", (model_class,), {"__init__": init, "__module__": __name__})
        return Found("odd", config_class, odd, {})

    def plain(self) -> Found:
        config_class, model_class = self.base
        return Found("plain", config_class, model_class, {})


# Attention ------------------------------------------------------------------------------------------------------------


def _same(attention: Any, *tensors: Any) -> Any:
    return tensors if len(tensors) > 1 else tensors[0]


def attention(
    *,
    projected: Callable[..., Any] = _same,
    rotated: Callable[..., Any] = _same,
    scores: Callable[..., Any] = _same,
    shares: Callable[..., Any] = _same,
    mixed: Callable[..., Any] = _same,
    table: Callable[..., Any] = _same,
    layers: tuple[int, ...] | None = None,
) -> Change:
    """A change to Llama's attention. Each place is a function of (attention, tensors): q, k, v [B, heads, T, dim];
    scores and shares [B, heads, T, T]; what was mixed [B, heads, T, dim]; cosines and sines [B, T, dim]."""

    def forward(
        self: Any, hidden_states: Any, position_embeddings: Any = None, attention_mask: Any = None, **_: Any
    ) -> Any:
        batch, length, _width = hidden_states.shape
        q, k, v = (
            p(hidden_states).view(batch, length, -1, self.head_dim).transpose(1, 2)
            for p in (self.q_proj, self.k_proj, self.v_proj)
        )
        if hasattr(self, "q_norm"):
            q, k = self.q_norm(q), self.k_norm(k)
        q, k, v = projected(self, q, k, v)
        q, k = apply_rotary_pos_emb(q, k, *table(self, *position_embeddings))
        q, k, v = rotated(self, q, k, v)
        k, v = (x.repeat_interleave(self.num_key_value_groups, dim=1) for x in (k, v))
        s = scores(self, q @ k.transpose(2, 3) * self.scaling)
        s = s.masked_fill(~torch.ones(length, length, dtype=torch.bool).tril(), -math.inf)
        if attention_mask is not None:
            s = s + attention_mask
        p = shares(self, s.softmax(-1, dtype=torch.float32).to(q.dtype))
        out = mixed(self, p @ v).transpose(1, 2).reshape(batch, length, -1)
        return self.o_proj(out), p

    def change(model: Any) -> None:
        for index, layer in enumerate(model.model.layers):
            if layers is None or index in layers:
                layer.self_attn.forward = forward.__get__(layer.self_attn)

    return change


def _positions(x: Any) -> Any:
    return torch.arange(x.shape[-2], dtype=x.dtype)


def _before(x: Any) -> Any:
    """`x` [B, heads, T, dim] a position later; the first position keeps its own."""
    return torch.cat((x[:, :, :1], x[:, :, :-1]), dim=2)


def _distance(s: Any) -> Any:
    at = _positions(s)
    return at[:, None] - at


def _heads(s: Any) -> Any:
    return torch.arange(1, s.shape[1] + 1, dtype=s.dtype)[:, None, None]


def _from(start: int, s: Any) -> Any:
    """A factor [T, 1] on the scores of queries from `start` on."""
    at = _positions(s)[:, None]
    return torch.where(at >= start, 1 + 0.3 * torch.log1p((at - start).clamp_min(0)), torch.ones_like(at))


def _halved(x: Any, changed: Any) -> Any:
    half = x.shape[-1] // 2
    return torch.cat((changed[..., :half], x[..., half:]), dim=-1)


def _masked(s: Any, hidden: Any) -> Any:
    return s.masked_fill(hidden, -math.inf)


ATTENTIONS = [
    Oddity("a temperature of each head", attention(scores=lambda a, s: s * (1 + 0.1 * _heads(s)))),
    Oddity("a temperature of each layer", attention(scores=lambda a, s: s / (a.layer_idx + 1))),
    Oddity("a temperature of each query", attention(scores=lambda a, s: s * (1 + _positions(s)[:, None]).log())),
    Oddity("a scale that starts at position 20", attention(scores=lambda a, s: s * _from(20, s))),
    Oddity("a scale that starts at position 60", attention(scores=lambda a, s: s * _from(60, s))),
    Oddity("a scale that starts at position 300", attention(scores=lambda a, s: s * _from(300, s))),
    Oddity("another scale", attention(scores=lambda a, s: 1.5 * s)),
    Oddity("clamped queries", attention(projected=lambda a, q, k, v: (q.clamp(-2, 2), k, v))),
    Oddity("clamped keys", attention(rotated=lambda a, q, k, v: (q, k.clamp(-2, 2), v))),
    Oddity("clamped values", attention(projected=lambda a, q, k, v: (q, k, v.clamp(-2, 2)))),
    Oddity(
        "clamped queries, keys and values",
        attention(projected=lambda a, *x: tuple(t.clamp(-3, 3) for t in x)),
        right={"attention.clip": 3.0},
    ),
    Oddity("values that only grow so far", attention(projected=lambda a, q, k, v: (q, k, v.clamp(max=2)))),
    Oddity("clamped scores", attention(scores=lambda a, s: s.clamp(-8, 8))),
    Oddity("scores clamped far out", attention(scores=lambda a, s: s.clamp(-100, 100))),
    Oddity(
        "soft cap",
        attention(scores=lambda a, s: 7 * torch.tanh(s / 7)),
        right={"attention.softcap": 7.0},
    ),
    Oddity("another soft cap", attention(scores=lambda a, s: s / (1 + s.abs() / 7))),
    Oddity("keys a position late", attention(projected=lambda a, q, k, v: (q, _before(k), v))),
    Oddity("half of the keys a position late", attention(projected=lambda a, q, k, v: (q, _halved(k, _before(k)), v))),
    Oddity("values mixed with those before", attention(projected=lambda a, q, k, v: (q, k, v + 0.1 * _before(v)))),
    Oddity("queries mixed with those before", attention(projected=lambda a, q, k, v: (q + 0.1 * _before(q), k, v))),
    Oddity("keys of length 1", attention(projected=lambda a, q, k, v: (q, nn.functional.normalize(k, dim=-1), v))),
    Oddity(
        "queries that don't rotate", attention(rotated=lambda a, q, k, v: (q, k, v), table=lambda a, c, s: (c, 0 * s))
    ),
    Oddity("one pair turns the other way", attention(table=lambda a, c, s: (c, s * _sign(s)))),
    Oddity("rotation at half the pace", attention(table=lambda a, c, s: _paced(c, s, 0.5))),
    Oddity("rotation that stops at position 64", attention(table=lambda a, c, s: _stopped(c, s, 64))),
    Oddity(
        "rotation from position 1 on",
        attention(table=lambda a, c, s: _later(c, s)),
        right={"positions.kind": "rotary"},
        same=True,
    ),
    Oddity("no rotation in the last layer", attention(table=lambda a, c, s: (0 * c + 1, 0 * s), layers=(3,))),
    Oddity("a penalty for distance", attention(scores=lambda a, s: s - 0.05 * _distance(s))),
    Oddity("a penalty for squared distance", attention(scores=lambda a, s: s - 0.001 * _distance(s) ** 2)),
    Oddity("slopes as well", attention(scores=lambda a, s: s - _distance(s) * 2.0 ** -_heads(s))),
    Oddity("a window of 60", attention(scores=lambda a, s: _masked(s, _distance(s) >= 60))),
    Oddity("a window of 20 in one layer", attention(scores=lambda a, s: _masked(s, _distance(s) >= 20), layers=(1,))),
    Oddity(
        "a window and the first token",
        attention(scores=lambda a, s: _masked(s, (_distance(s) >= 8) & (_positions(s) > 0))),
    ),
    Oddity(
        "a window and the first token, from 70 on",
        attention(scores=lambda a, s: _masked(s, (_distance(s) >= 70) & (_positions(s) > 0))),
    ),
    Oddity("chunks of 16", attention(scores=lambda a, s: _masked(s, _chunk(s, 16)))),
    Oddity(
        "every second key far off",
        attention(scores=lambda a, s: _masked(s, (_distance(s) > 9) & (_distance(s) % 2 > 0))),
    ),
    Oddity(
        "tokens that don't see themselves",
        attention(scores=lambda a, s: _masked(s, (_distance(s) == 0) & (_positions(s) > 0))),
    ),
    Oddity("shares of less than 1", attention(shares=lambda a, p: p * 0.9), right={"attention.value_scale": 0.9}),
    Oddity("sharpened shares", attention(shares=lambda a, p: p.sqrt() / p.sqrt().sum(-1, keepdim=True))),
    Oddity("shares of 0.5 at most", attention(shares=lambda a, p: p.clamp(max=0.5))),
    Oddity("a first value of zero", attention(rotated=lambda a, q, k, v: (q, k, v * (_positions(v) > 0)[:, None]))),
    Oddity("heads in reverse", attention(mixed=lambda a, o: o.flip(1))),
    Oddity("heads that talk", attention(mixed=lambda a, o: o + 0.1 * o.roll(1, dims=1))),
    Oddity("a normed output of each head", attention(mixed=lambda a, o: o * o.pow(2).mean(-1, keepdim=True).rsqrt())),
    Oddity("a louder layer", attention(mixed=lambda a, o: 1.1 * o, layers=(2,))),
]


def _sign(s: Any) -> Any:
    sign = torch.ones(s.shape[-1], dtype=s.dtype)
    sign[1] = sign[1 + s.shape[-1] // 2] = -1
    return sign


def _paced(cosine: Any, sine: Any, pace: float) -> tuple[Any, Any]:
    dim = cosine.shape[-1] // 2
    at = torch.arange(cosine.shape[-2], dtype=torch.float64) * pace
    angle = at[:, None] * 10000.0 ** (-torch.arange(dim, dtype=torch.float64) / dim)
    angle = torch.cat((angle, angle), dim=-1).expand(cosine.shape)
    return angle.cos().to(cosine.dtype), angle.sin().to(sine.dtype)


def _stopped(cosine: Any, sine: Any, end: int) -> tuple[Any, Any]:
    at = torch.arange(cosine.shape[-2]).clamp_max(end)
    return cosine[:, at], sine[:, at]


def _later(cosine: Any, sine: Any) -> tuple[Any, Any]:
    """Every position turned by one position more: scores stay."""
    one = (cosine[:, 1:2], sine[:, 1:2]) if cosine.shape[1] > 1 else (cosine, sine)
    return cosine * one[0] - sine * one[1], sine * one[0] + cosine * one[1]


def _chunk(s: Any, size: int) -> Any:
    chunk = _positions(s) // size
    return chunk[:, None] != chunk


# Channel blocks, norms, streams ---------------------------------------------------------------------------------------


def _mlp(forward: Callable[..., Any], layers: tuple[int, ...] | None = None) -> Change:
    """A change to Llama's MLP: forward(mlp, x)."""

    def change(model: Any) -> None:
        for index, layer in enumerate(model.model.layers):
            if layers is None or index in layers:
                layer.mlp.forward = forward.__get__(layer.mlp)

    return change


def _norm(forward: Callable[..., Any], layers: tuple[int, ...] | None = None) -> Change:
    """A change to the norms before attention: forward(norm, x)."""

    def change(model: Any) -> None:
        for index, layer in enumerate(model.model.layers):
            if layers is None or index in layers:
                layer.input_layernorm.forward = forward.__get__(layer.input_layernorm)

    return change


def _layer(forward: Callable[..., Any], layers: tuple[int, ...] | None = None) -> Change:
    """A change to Llama's layers: forward(layer, x, attention), which is attention with all but its input given."""

    def whole(self: Any, hidden_states: Any, **arguments: Any) -> Any:
        return forward(self, hidden_states, lambda x: self.self_attn(hidden_states=x, **arguments)[0])

    def change(model: Any) -> None:
        for index, layer in enumerate(model.model.layers):
            if layers is None or index in layers:
                layer.forward = whole.__get__(layer)

    return change


def _hook(path: str, function: Callable[..., Any]) -> Change:
    """A change to what a module puts out: function(output)."""

    def change(model: Any) -> None:
        model.get_submodule(path).register_forward_hook(lambda module, given, out: function(out))

    return change


def _logits(function: Callable[..., Any]) -> Change:
    """A change to the logits that a model puts out: function(logits)."""

    def changed(module: Any, given: Any, out: Any) -> Any:
        out.logits = function(out.logits)
        return out

    return lambda model: model.register_forward_hook(changed)


def _gated(gate: Callable[..., Any], up: Callable[..., Any] = _same) -> Callable[..., Any]:
    def forward(self: Any, x: Any) -> Any:
        return self.down_proj(gate(self.gate_proj(x)) * up(None, self.up_proj(x)))

    return forward


_silu = nn.functional.silu


def _shifted(x: Any) -> Any:
    """`x` [B, T, N] mixed with the position before."""
    return x + 0.1 * torch.cat((x[:, :1], x[:, :-1]), dim=1)


def _normed(self: Any, x: Any) -> Any:
    return self.weight * x / (x.pow(2).mean(-1, keepdim=True).sqrt() + 0.01)


def _side_by_side(self: Any, x: Any, attend: Any) -> Any:
    return x + attend(self.input_layernorm(x)) + self.mlp(self.post_attention_layernorm(x))


def _faded(self: Any, x: Any, attend: Any) -> Any:
    x = 0.9 * x + attend(self.input_layernorm(x))
    return x + self.mlp(self.post_attention_layernorm(x))


def _scaled(self: Any, x: Any, attend: Any) -> Any:
    x = x + 0.7 * attend(self.input_layernorm(x))
    return x + 0.7 * self.mlp(self.post_attention_layernorm(x))


def _unequal(self: Any, x: Any, attend: Any) -> Any:
    x = x + 0.7 * attend(self.input_layernorm(x))
    return x + 0.8 * self.mlp(self.post_attention_layernorm(x))


def _limited(self: Any, x: Any, attend: Any) -> Any:
    x = x + attend(self.input_layernorm(x))
    return (x + self.mlp(self.post_attention_layernorm(x))).clamp(-40, 40)


BLOCKS = [
    Oddity("a gate of another slope", _mlp(_gated(lambda g: g * torch.sigmoid(1.01 * g)))),
    Oddity("a gate that stops at 20", _mlp(_gated(lambda g: _silu(g.clamp(max=20))))),
    Oddity("a gate that stops at 100", _mlp(_gated(lambda g: _silu(g.clamp(max=100))))),
    Oddity("ups that stop at 20", _mlp(_gated(_silu, lambda _, u: u.clamp(-20, 20)))),
    Oddity("ups from 1 on", _mlp(_gated(_silu, lambda _, u: u + 1))),
    Oddity("a gate that leaks", _mlp(_gated(lambda g: _silu(g) + 0.01 * g))),
    Oddity("ups a channel on", _mlp(_gated(_silu, lambda _, u: u.roll(1, dims=-1)))),
    Oddity("sparse gates", _mlp(_gated(lambda g: _silu(g) * (g > g.mean(-1, keepdim=True))))),
    Oddity("another activation in one layer", _mlp(_gated(torch.relu), layers=(2,))),
    Oddity("tokens shifted before the block", _mlp(lambda self, x: _gated(_silu)(self, _shifted(x)))),
    Oddity("a norm with epsilon outside the root", _norm(_normed)),
    Oddity(
        "a squared gain", _norm(lambda self, x: self.weight**2 * x * (x.pow(2).mean(-1, keepdim=True) + 1e-6).rsqrt())
    ),
    Oddity(
        "a centred norm in one layer",
        _norm(lambda self, x: self.weight * nn.functional.layer_norm(x, x.shape[-1:]), layers=(1,)),
    ),
    Oddity("blocks side by side in one layer", _layer(_side_by_side, layers=(3,))),
    Oddity("a residual that fades", _layer(_faded)),
    Oddity("a factor on blocks", _layer(_scaled), right={"layer.residual_scale": 0.7}),
    Oddity("unequal factors on blocks", _layer(_unequal)),
    Oddity("a clamped stream", _layer(_limited)),
    Oddity("a stream that fades by position", _hook("model.layers.1", lambda x: x / (1 + _positions(x)[:, None] / 90))),
]


def _without(norm: str, which: Callable[[int, int], bool]) -> Change:
    """A norm of Llama's layers left out where `which` says so: which(index, number of layers)."""

    def change(model: Any) -> None:
        layers = model.model.layers
        for index, layer in enumerate(layers):
            if which(index, len(layers)):
                setattr(layer, norm, nn.Identity())

    return change


def _with_bias(which: Callable[[int, int], bool], *, to: str = "attention", factor: float = 1.0) -> Change:
    """A bias added in some of Llama's layers: to attention, or to the MLP."""

    def forward(self: Any, x: Any, attend: Any) -> Any:
        added = factor * self.extra if hasattr(self, "extra") else 0.0
        x = x + attend(self.input_layernorm(x)) + (added if to == "attention" else 0.0)
        return x + self.mlp(self.post_attention_layernorm(x)) + (added if to == "mlp" else 0.0)

    def change(model: Any) -> None:
        layers = model.model.layers
        for index, layer in enumerate(layers):
            if which(index, len(layers)):
                layer.extra = nn.Parameter(torch.zeros(model.config.hidden_size))
        _layer(forward)(model)

    return change


def _both(*changes: Change) -> Change:
    def change(model: Any) -> None:
        for one in changes:
            one(model)

    return change


UNEVEN = [
    Oddity(
        "no norm before the last attention",
        _without("input_layernorm", lambda i, n: i == n - 1),
        right={"layer.attention_norm": "but_last"},
        rare=True,
    ),
    Oddity(
        "no norm before the first MLP",
        _without("post_attention_layernorm", lambda i, n: i == 0),
        right={"layer.mlp_norm": "but_first"},
        rare=True,
    ),
    Oddity("no norm before the second attention", _without("input_layernorm", lambda i, n: i == 1)),
    Oddity("no norm before attention", _without("input_layernorm", lambda i, n: True)),
    Oddity(
        "no norm before the first attention and the last MLP",
        _both(
            _without("input_layernorm", lambda i, n: i == 0),
            _without("post_attention_layernorm", lambda i, n: i == n - 1),
        ),
        rare=True,
    ),
    Oddity(
        "a bias in the first layer", _with_bias(lambda i, n: i == 0), right={"layer.added_bias": "first"}, rare=True
    ),
    Oddity("a bias in all layers", _with_bias(lambda i, n: True), right={"layer.added_bias": "every"}, rare=True),
    Oddity("a bias in the fourth layer", _with_bias(lambda i, n: i == 3)),
    Oddity("twice a bias in the last layer", _with_bias(lambda i, n: i == n - 1, factor=2.0)),
    Oddity("a bias of the last MLP", _with_bias(lambda i, n: i == n - 1, to="mlp")),
]

ENDS = [
    Oddity("a scaled embedding", _hook("model.embed_tokens", lambda x: 3 * x), right={"embeddings.scale": 3.0}),
    Oddity(
        "an embedding that fades by position",
        _hook("model.embed_tokens", lambda x: x / (1 + _positions(x)[:, None] / 9)),
    ),
    Oddity("a first embedding of zero", _hook("model.embed_tokens", lambda x: x * (_positions(x) > 0)[:, None])),
    Oddity("a clamped embedding", _hook("model.embed_tokens", lambda x: x.clamp(-0.5, 0.5))),
    Oddity("soft capped logits", _logits(lambda x: 7 * torch.tanh(x / 7)), right={"head.softcap": 7.0}),
    Oddity("clamped logits", _logits(lambda x: x.clamp(-5, 5))),
    Oddity(
        "a last token that never comes",
        _hook("lm_head", lambda x: x - 9 * (torch.arange(x.shape[-1]) == x.shape[-1] - 1)),
    ),
    Oddity("logits that sharpen by position", _hook("lm_head", lambda x: x * (1 + _positions(x)[:, None] / 99))),
    Oddity("logits that sharpen from 60 on", _hook("lm_head", lambda x: x * _from(60, x))),
]

_GPT2, _QWEN3 = (GPT2Config, GPT2LMHeadModel), (Qwen3Config, Qwen3ForCausalLM)
_LEARNED = (ApertusConfig, ApertusForCausalLM)  # an activation with parameters


def _rows(rows: Callable[[Any], Any]) -> Change:
    """A change to the rows of GPT-2's table of positions that are looked up."""

    def change(model: Any) -> None:
        model.transformer.wpe.register_forward_pre_hook(lambda module, given: (rows(given[0]),))

    return change


def _by_depth(model: Any) -> None:
    for index, block in enumerate(model.transformer.h):
        block.attn.scaling = block.attn.scaling / (index + 1)


def _one_norm(model: Any) -> None:
    for layer in model.model.layers:
        layer.self_attn.k_norm = layer.self_attn.q_norm


def _no_key_norm(model: Any) -> None:
    for layer in model.model.layers:
        layer.self_attn.k_norm = nn.Identity()


def _normed_after(model: Any) -> None:
    def change(a: Any, q: Any, k: Any, v: Any) -> Any:
        return a.after_q(q), a.after_k(k), v

    for layer in model.model.layers:
        attention = layer.self_attn
        attention.after_q, attention.after_k = attention.q_norm, attention.k_norm
        del attention.q_norm, attention.k_norm
    _attention_after(model)


def _bent(model: Any) -> None:
    """What is not positive is bent once more, by a number that is no tensor."""
    for layer in model.model.layers:
        layer.mlp.act_fn.register_forward_hook(lambda module, given, y: torch.where(given[0] > 0, y, 1.1 * y))


def _one_activation(model: Any) -> None:
    for layer in model.model.layers:
        layer.mlp.act_fn = model.model.layers[0].mlp.act_fn


_attention_after = attention(rotated=lambda a, q, k, v: (a.after_q(q), a.after_k(k), v))

OTHERS = [
    Oddity("positions that halve", _hook("transformer.wpe", lambda x: 0.5 * x), _GPT2),
    Oddity("positions that start again at 64", _rows(lambda p: p % 64), _GPT2),
    Oddity("positions that stop at 50", _rows(lambda p: p.clamp_max(50)), _GPT2),
    Oddity("positions in pairs", _rows(lambda p: p // 2), _GPT2),
    Oddity("a scale by depth", _by_depth, _GPT2),
    Oddity("one norm for queries and keys", _one_norm, _QWEN3),
    Oddity("no norm of keys", _no_key_norm, _QWEN3),
    Oddity("an activation with parameters, bent", _bent, _LEARNED),
    Oddity("one activation with parameters for all layers", _one_activation, _LEARNED),
    Oddity("norms after rotation", _normed_after, _QWEN3, right={"attention.norm_after_rotation": True}),
]


def _averaged(before: Callable[[int], int], *, kept: bool = True) -> Change:
    """A stream that is the mean of its terms times the root of their number: before(layer) of them go in."""

    def forward(self: Any, x: Any, attend: Any) -> Any:
        n = before(self.self_attn.layer_idx)
        x = ((n if kept else 1) ** 0.5 * x + attend(self.input_layernorm(x))) / (n + 1) ** 0.5
        return ((n + 1 if kept else 1) ** 0.5 * x + self.mlp(self.post_attention_layernorm(x))) / (n + 2) ** 0.5

    return _layer(forward)


STREAMS = [
    # The norms that read the stream take its scale away, all but their eps.
    Oddity(
        "a stream averaged over its terms",
        _averaged(lambda i: 2 * i + 1),
        right={"layer.sums": "averaged"},
        same=True,
    ),
    Oddity("a stream averaged from two terms on", _averaged(lambda i: 2 * i + 2), rare=True),
    Oddity("a stream averaged anew in each layer", _averaged(lambda i: 1), rare=True),
    Oddity("a stream that fades by depth", _averaged(lambda i: 2 * i + 1, kept=False), rare=True),
]


_SHARING = (GraniteMoeSharedConfig, GraniteMoeSharedForCausalLM)


def _beside(change: Callable[[Any], Any]) -> Change:
    """What the MLP beside the experts gives is another thing; nothing where there is none."""

    def apply(model: Any) -> None:
        for layer in model.model.layers:
            if layer.shared_mlp is not None:
                layer.shared_mlp.register_forward_hook(lambda module, given, out: change(out))

    return apply


MIXTURES = [
    Oddity("half of the MLP beside experts", _beside(lambda x: x / 2), base=_SHARING, rare=True),
    Oddity("the MLP beside experts a token on", _beside(_shifted), base=_SHARING, rare=True),
]


class _GatedNorm(nn.Module):
    """What `norm` makes, times `form` of a small MLP of that."""

    def __init__(self, norm: nn.Module, config: Any, form: Callable[[Any], Any]) -> None:
        super().__init__()
        self.norm, self.form = norm, form
        self.fc1 = nn.Linear(config.hidden_size, config.norm_rank, bias=False)
        self.fc2 = nn.Linear(config.norm_rank, config.hidden_size, bias=False)

    def forward(self, x: Any) -> Any:
        y = self.norm(x)
        return y * self.form(self.fc2(nn.functional.silu(self.fc1(y))))


class _RankConfig(LlamaConfig):
    """Llama's, and how wide the gates on norms are."""

    norm_rank: int = 7


def _gated_norms(form: Callable[[Any], Any], which: tuple[str, ...]) -> Change:
    def change(model: Any) -> None:
        for layer in model.model.layers:
            for name in which:
                setattr(layer, name, _GatedNorm(getattr(layer, name), model.config, form))

    return change


_RANKED = (_RankConfig, LlamaForCausalLM)
_BOTH = ("input_layernorm", "post_attention_layernorm")
GATED = [
    Oddity(
        "a gate of another slope on norms", _gated_norms(lambda z: torch.sigmoid(1.1 * z), _BOTH), _RANKED, rare=True
    ),
    Oddity(
        "gates on norms before the MLP",
        _gated_norms(torch.sigmoid, _BOTH[1:]),
        _RANKED,
        right={"norm_gate.attention": "none", "norm_gate.mlp": "every"},
        rare=True,
    ),
    Oddity(
        "gates on norms",
        _gated_norms(torch.sigmoid, _BOTH),
        _RANKED,
        right={"norm_gate.attention": "every", "norm_gate.mlp": "every"},
    ),
]

ODDITIES = [*ATTENTIONS, *BLOCKS, *UNEVEN, *ENDS, *OTHERS, *STREAMS, *MIXTURES, *GATED]
