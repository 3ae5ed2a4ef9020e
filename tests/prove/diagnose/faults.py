"""Faults that people make in ports, as edits of generated models, with what a diagnosis should say of each."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """`right` becomes `wrong` in the model's file. module: the class at fault. kinds: causes that are right."""

    model: str
    what: str
    right: str
    wrong: str
    module: str
    kinds: tuple[str, ...]

    def seeded(self, source: str) -> str:
        """The source with the fault."""
        assert self.right in source, f"{self.model}: {self.what}: not in the source"
        seeded = source.replace(self.right, self.wrong, 1)
        # What the fault names must be imported, whatever else the model uses.
        if "Rotary(" in self.wrong and "    Rotary," not in source:
            seeded = seeded.replace("import (\n", "import (\n    Rotary,\n", 1)
        return seeded


def _llama(what: str, right: str, wrong: str, part: str, *kinds: str) -> Fault:
    return Fault("llama", what, right, wrong, f"Llama{part}", kinds)


def _gpt2(what: str, right: str, wrong: str, part: str, *kinds: str) -> Fault:
    return Fault("gpt2", what, right, wrong, f"Gpt2{part}", kinds)


def _gemma2(what: str, right: str, wrong: str, part: str, *kinds: str) -> Fault:
    return Fault("gemma2", what, right, wrong, f"Gemma2{part}", kinds)


def _olmo2(what: str, right: str, wrong: str, part: str, *kinds: str) -> Fault:
    return Fault("olmo2", what, right, wrong, f"Olmo2{part}", kinds)


def _mixtral(what: str, right: str, wrong: str, part: str, *kinds: str) -> Fault:
    return Fault("mixtral", what, right, wrong, f"Mixtral{part}", kinds)


def _deepseek(what: str, right: str, wrong: str, part: str, *kinds: str) -> Fault:
    return Fault("deepseek_v3", what, right, wrong, f"DeepseekV3{part}", kinds)


_NORM = "RmsNorm.init(config.Embed, eps=config.norm_eps"
_Q, _K = "rope(self.q_proj(x), pos_ids, HeadSize)", "rope(self.k_proj(x), pos_ids, HeadSize)"

FAULTS = (
    _llama("theta", "self.config.HeadSize, self.config.rope", "self.config.HeadSize, Rotary()", "Attention", "theta"),
    _llama("rope layout", _Q, _Q[:-1] + ', layout="interleaved")', "Attention", "rope layout"),
    _llama("keys not rotated", _K, "self.k_proj(x)", "Attention", "rotation"),
    _llama(
        "eps", f"input_layernorm={_NORM}", "input_layernorm=RmsNorm.init(config.Embed, eps=1e-6", "DecoderLayer", "eps"
    ),
    _llama(
        "final eps",
        f"            norm={_NORM}",
        "            norm=RmsNorm.init(config.Embed, eps=1e-5",
        "Transformer",
        "eps",
    ),
    _llama(
        "norm offset", f"input_layernorm={_NORM}", f"input_layernorm={_NORM}, offset=1.0", "DecoderLayer", "norm offset"
    ),
    _llama(
        "gate and up swapped",
        "self.act(self.gate_proj(x)) * self.up_proj(x)",
        "self.act(self.up_proj(x)) * self.gate_proj(x)",
        "Mlp",
        "swapped modules",
    ),
    _llama("scale", "HeadSize.size**-0.5", "(HeadSize.size + 1) ** -0.5", "Attention", "scale"),
    _llama("scale of the wrong width", "HeadSize.size**-0.5", "self.config.hidden_dim**-0.5", "Attention", "scale"),
    _llama("mask off by one", "AttentionMask.of(attn_mask)", "AttentionMask.causal(offset=1)", "LMHeadModel", "mask"),
    _llama("mask ignored", "AttentionMask.of(attn_mask)", "AttentionMask.causal()", "LMHeadModel", "mask"),
    _llama(
        "norm of the wrong value",
        "self.mlp(self.post_attention_layernorm(h))",
        "self.mlp(self.post_attention_layernorm(x))",
        "DecoderLayer",
        "wrong value",
    ),
    _llama("wrong residual", "return h + self.mlp", "return x + self.mlp", "DecoderLayer", "wrong value"),
    _llama("no residual", "return h + self.mlp", "return self.mlp", "DecoderLayer", "residual"),
    _llama(
        "bias of the config ignored",
        "key=k_q, std=std, use_bias=config.attention_bias",
        "key=k_q, std=std, use_bias=False",
        "Attention",
        "bias",
    ),
    _llama("activation", "activation(config.activation)", 'activation("gelu")', "Mlp", "activation"),
    _llama(
        "scaled rotation ignored",
        "self.config.HeadSize, self.config.rope",
        "self.config.HeadSize, Rotary(theta=self.config.rope.theta)",
        "Attention",
        "theta",
    ),
    _llama(
        "a norm left out", "self.mlp(self.post_attention_layernorm(h))", "self.mlp(h)", "DecoderLayer", "missing call"
    ),
    _llama(
        "deviation of fresh weights",
        "std = config.initializer_range",
        "std = 0.02",
        "Attention",
        "initialisation",
        "config",
    ),
    _gpt2(
        "bias of the MLP taken away",
        "self.act(self.c_fc(x))",
        "self.act(self.c_fc(x) - self.c_fc.bias)",
        "Mlp",
        "extra term",
    ),
    _gpt2(
        "queries and keys swapped",
        "q, k, v = self",
        "k, q, v = self",
        "Attention",
        "swapped halves",
        "swapped arguments",
    ),
    _gpt2(
        "keys and values swapped",
        "q, k, v = self",
        "q, v, k = self",
        "Attention",
        "swapped halves",
        "swapped arguments",
    ),
    _gpt2(
        "positions off by one", "self.wpe(pos_ids)", "self.wpe(pos_ids + 1)", "Embeddings", "positions", "extra term"
    ),
    _gpt2(
        "no positions", "self.wte(input_ids) + self.wpe(pos_ids)", "self.wte(input_ids)", "Embeddings", "missing term"
    ),
    _gpt2(
        "norm without its bias",
        "self.mlp(self.ln_2(h))",
        "self.mlp(self.ln_2(h) - self.ln_2.bias)",
        "DecoderLayer",
        "extra term",
    ),
    _gpt2(
        "norms swapped",
        "self.attn(self.ln_1(x), mask)",
        "self.attn(self.ln_2(x), mask)",
        "DecoderLayer",
        "swapped modules",
    ),
    _gpt2(
        "transposed weight",
        "std=residual_std, use_bias=True, out_first=False),\n            config",
        "std=residual_std, use_bias=True),\n            config",
        "Attention",
        "transposed weight",
    ),
    _gpt2("no bias", "key=k_up, std=std, use_bias=True", "key=k_up, std=std, use_bias=False", "Mlp", "bias"),
    _gpt2("activation variant", "activation(config.activation)", 'activation("gelu")', "Mlp", "activation"),
    _gemma2(
        "window one too long",
        "self.config.sliding_window, where",
        "self.config.sliding_window + 1, where",
        "Attention",
        "mask",
    ),
    _gemma2(
        "no window",
        "        mask = mask.with_sliding_window(self.config.sliding_window, where=windowed)\n",
        "",
        "Attention",
        "mask",
    ),
    _gemma2("windows in every layer", ", where=windowed", "", "Attention", "mask"),
    _gemma2("no softcap", "            softcap=self.config.attn_logit_softcapping,\n", "", "Attention", "softcap"),
    _gemma2("embedding not scaled", " * math.sqrt(self.config.hidden_dim)", "", "Embeddings", "missing factor"),
    _gemma2(
        "scale of the head", "self.config.query_pre_attn_scalar**-0.5", "HeadSize.size**-0.5", "Attention", "scale"
    ),
    _gemma2(
        "norm before instead of after",
        "self.post_feedforward_layernorm(self.mlp(self.pre_feedforward_layernorm(h)))",
        "self.mlp(self.post_feedforward_layernorm(self.pre_feedforward_layernorm(h)))",
        "DecoderLayer",
        "order",
    ),
    _gemma2(
        "gain without its offset",
        "post_feedforward_layernorm=RmsNorm.init(config.Embed, eps=config.norm_eps, offset=1.0)",
        "post_feedforward_layernorm=RmsNorm.init(config.Embed, eps=config.norm_eps)",
        "DecoderLayer",
        "norm offset",
    ),
    _gemma2(
        "final softcap",
        "return cap * hax.tanh(super().logits(hidden) / cap)",
        "return super().logits(hidden)",
        "LMHeadModel",
        "softcap",
    ),
    _olmo2(
        "queries not normalised", "rope(self.q_norm(self.q_proj(x))", "rope(self.q_proj(x)", "Attention", "missing call"
    ),
    _olmo2(
        "rotation before the norm",
        "rope(self.k_norm(self.k_proj(x)), pos_ids, HeadSize)",
        "self.k_norm(rope(self.k_proj(x), pos_ids, HeadSize))",
        "Attention",
        "order",
    ),
    _olmo2(
        "norm before the block",
        "self.post_attention_layernorm(self.self_attn(x, mask, pos_ids))",
        "self.self_attn(self.post_attention_layernorm(x), mask, pos_ids)",
        "DecoderLayer",
        "order",
    ),
    _olmo2(
        "heads laid out the other way",
        "Query = (config.KVHeads, config.QHeadsPerGroup",
        "Query = (config.QHeadsPerGroup, config.KVHeads",
        "Attention",
        "layout",
    ),
    _mixtral(
        "sigmoid of scores", "hnn.softmax(logits, self.config.Experts)", "hnn.sigmoid(logits)", "Moe", "router scores"
    ),
    _mixtral(
        "weights not normalised",
        "        weights = weights / hax.sum(weights, self.config.TopExperts)\n",
        "",
        "Moe",
        "router weights",
    ),
    _mixtral(
        "a softmax too much",
        "self.experts(x, chosen, weights,",
        "self.experts(x, chosen, hnn.softmax(weights, self.config.TopExperts),",
        "Moe",
        "router softmax",
    ),
    _mixtral("gate and up of experts swapped", "self.act(gate) * up", "self.act(up) * gate", "Moe", "swapped halves"),
    _deepseek(
        "a correction bias that weighs",
        "            scores,\n            self.config.TopExperts,\n            bias=self.correction_bias,\n",
        "            scores + self.correction_bias,\n            self.config.TopExperts,\n",
        "Moe",
        "correction bias",
    ),
    _deepseek(
        "groups of experts ignored",
        "            groups=self.config.num_expert_groups,\n            kept_groups=self.config.num_kept_groups,\n",
        "",
        "Moe",
        "expert groups",
    ),
    _deepseek(
        "weights not scaled",
        "        weights = weights * self.config.routed_scaling_factor\n",
        "",
        "Moe",
        "missing factor",
    ),
    _deepseek("no shared expert", "return mixed + self.shared_experts(x)", "return mixed", "Moe", "missing term"),
)
