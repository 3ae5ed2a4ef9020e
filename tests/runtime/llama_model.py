"""A model of the Llama family, written as a generated file is: untied or tied, grouped queries, optional biases."""

from collections.abc import Callable
from dataclasses import dataclass

import equinox as eqx
import haliax as hax
import haliax.nn as hnn
import jax.random as jrandom
from haliax import Axis, NamedArray
from haliax.jax_utils import named_call, shaped_rng_split
from haliax.nn.scan import Stacked
from haliax.state_dict import ModuleWithStateDictSerialization

from levgen.runtime import (
    AttentionMask,
    Embedding,
    HfFields,
    Linear,
    LmConfig,
    LmHeadModel,
    RmsNorm,
    Rotary,
    activation,
    dot_product_attention,
)


@LmConfig.register_subclass("test_llama")
@dataclass(frozen=True)
class LlamaConfig(LmConfig):
    max_seq_len: int = 2048
    hidden_dim: int = 4096
    intermediate_dim: int = 11008
    num_layers: int = 32
    num_heads: int = 32
    num_kv_heads: int = 32
    head_dim: int = 128
    activation: str = "silu"
    norm_eps: float = 1e-6
    initializer_range: float = 0.02
    rope: Rotary = Rotary(theta=10000.0)
    attention_bias: bool = False
    tie_word_embeddings: bool = False

    Pos = property(lambda self: Axis("position", self.max_seq_len))
    KeyPos = property(lambda self: self.Pos.alias("key_position"))
    Embed = property(lambda self: Axis("embed", self.hidden_dim))
    Mlp = property(lambda self: Axis("mlp", self.intermediate_dim))
    Layers = property(lambda self: Axis("layer", self.num_layers))
    KVHeads = property(lambda self: Axis("kv_head", self.num_kv_heads))
    QHeadsPerGroup = property(lambda self: Axis("q_heads_per_group", self.num_heads // self.num_kv_heads))
    HeadSize = property(lambda self: Axis("head_size", self.head_dim))

    hf_fields = HfFields(
        "LlamaConfig",
        {
            "max_seq_len": "max_position_embeddings",
            "hidden_dim": "hidden_size",
            "intermediate_dim": "intermediate_size",
            "num_layers": "num_hidden_layers",
            "num_heads": "num_attention_heads",
            "num_kv_heads": "num_key_value_heads",
            "head_dim": "head_dim",
            "activation": "hidden_act",
            "norm_eps": "rms_norm_eps",
            "initializer_range": "initializer_range",
            "rope": "rope_parameters",
            "attention_bias": "attention_bias",
            "tie_word_embeddings": "tie_word_embeddings",
        },
        fixed={"mlp_bias": False},
        ignored={"pretraining_tp": "splits matmuls, not values"},
    )

    @property
    def model_type(self) -> type["LlamaLMHeadModel"]:
        return LlamaLMHeadModel


class LlamaAttention(ModuleWithStateDictSerialization):
    q_proj: hnn.Linear
    k_proj: hnn.Linear
    v_proj: hnn.Linear
    o_proj: hnn.Linear
    config: LlamaConfig = eqx.field(static=True)

    @staticmethod
    def init(config: LlamaConfig, *, key) -> "LlamaAttention":
        k_q, k_k, k_v, k_o = jrandom.split(key, 4)
        std, use_bias = config.initializer_range, config.attention_bias
        Query = (config.KVHeads, config.QHeadsPerGroup, config.HeadSize)
        Key = (config.KVHeads, config.HeadSize)
        return LlamaAttention(
            q_proj=Linear.init(config.Embed, Query, key=k_q, std=std, use_bias=use_bias),
            k_proj=Linear.init(config.Embed, Key, key=k_k, std=std, use_bias=use_bias),
            v_proj=Linear.init(config.Embed, Key, key=k_v, std=std, use_bias=use_bias),
            o_proj=Linear.init(Query, config.Embed, key=k_o, std=std, use_bias=use_bias),
            config=config,
        )

    @named_call
    def __call__(self, x: NamedArray, mask: AttentionMask | None, pos_ids: NamedArray) -> NamedArray:
        HeadSize, rope = self.config.HeadSize, self.config.rope
        q = rope(self.q_proj(x), pos_ids, HeadSize)
        k = rope(self.k_proj(x), pos_ids, HeadSize)
        attended = dot_product_attention(q, k, self.v_proj(x), mask, HeadSize=HeadSize, scale=HeadSize.size**-0.5)
        return self.o_proj(attended)


class LlamaMlp(ModuleWithStateDictSerialization):
    gate_proj: hnn.Linear
    up_proj: hnn.Linear
    down_proj: hnn.Linear
    act: Callable[[NamedArray], NamedArray] = eqx.field(static=True)

    @staticmethod
    def init(config: LlamaConfig, *, key) -> "LlamaMlp":
        k_gate, k_up, k_down = jrandom.split(key, 3)
        std = config.initializer_range
        return LlamaMlp(
            gate_proj=Linear.init(config.Embed, config.Mlp, key=k_gate, std=std, use_bias=False),
            up_proj=Linear.init(config.Embed, config.Mlp, key=k_up, std=std, use_bias=False),
            down_proj=Linear.init(config.Mlp, config.Embed, key=k_down, std=std, use_bias=False),
            act=activation(config.activation),
        )

    @named_call
    def __call__(self, x: NamedArray) -> NamedArray:
        return self.down_proj(self.act(self.gate_proj(x)) * self.up_proj(x))


class LlamaDecoderLayer(ModuleWithStateDictSerialization):
    self_attn: LlamaAttention
    mlp: LlamaMlp
    input_layernorm: RmsNorm
    post_attention_layernorm: RmsNorm

    @staticmethod
    def init(config: LlamaConfig, *, key) -> "LlamaDecoderLayer":
        k_attn, k_mlp = jrandom.split(key)
        return LlamaDecoderLayer(
            self_attn=LlamaAttention.init(config, key=k_attn),
            mlp=LlamaMlp.init(config, key=k_mlp),
            input_layernorm=RmsNorm.init(config.Embed, eps=config.norm_eps),
            post_attention_layernorm=RmsNorm.init(config.Embed, eps=config.norm_eps),
        )

    @named_call
    def __call__(self, x: NamedArray, mask: AttentionMask | None, pos_ids: NamedArray) -> NamedArray:
        h = x + self.self_attn(self.input_layernorm(x), mask, pos_ids)
        return h + self.mlp(self.post_attention_layernorm(h))


class LlamaTransformer(ModuleWithStateDictSerialization):
    layers: Stacked[LlamaDecoderLayer]
    norm: RmsNorm

    @staticmethod
    def init(config: LlamaConfig, *, key) -> "LlamaTransformer":
        make_layers = Stacked.init(config.Layers, LlamaDecoderLayer, gradient_checkpointing=True)
        return LlamaTransformer(
            layers=make_layers(config, key=shaped_rng_split(key, config.num_layers)),
            norm=RmsNorm.init(config.Embed, eps=config.norm_eps),
        )

    @named_call
    def __call__(self, x: NamedArray, mask: AttentionMask | None, pos_ids: NamedArray) -> NamedArray:
        return self.norm(self.layers.fold(x, mask, pos_ids))


class LlamaLMHeadModel(LmHeadModel):
    embeddings: hnn.Embedding
    transformer: LlamaTransformer
    lm_head: hnn.Linear | None
    config: LlamaConfig = eqx.field(static=True)

    @classmethod
    def init(cls, Vocab: Axis, config: LlamaConfig, *, key) -> "LlamaLMHeadModel":
        k_embed, k_layers, k_head = jrandom.split(key, 3)
        std, tied = config.initializer_range, config.tie_word_embeddings
        return cls(
            embeddings=Embedding.init(Vocab, config.Embed, key=k_embed, std=std),
            transformer=LlamaTransformer.init(config, key=k_layers),
            lm_head=None if tied else Linear.init(config.Embed, Vocab, key=k_head, std=std, use_bias=False),
            config=config,
        )

    def activations(self, input_ids, attn_mask=None, *, pos_ids=None, key=None) -> NamedArray:
        if pos_ids is None:
            pos_ids = hax.arange(input_ids.resolve_axis("position"))
        return self.transformer(self.embeddings(input_ids), attn_mask, pos_ids)

    def get_lm_head(self) -> NamedArray:
        return self.embeddings.weight if self.lm_head is None else self.lm_head.weight

    def _state_dict_key_map(self) -> dict[str, str | None]:
        return {"embeddings": "model.embed_tokens", "transformer": "model"}
