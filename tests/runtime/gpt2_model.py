"""GPT-2, written as a generated file is: fused and transposed projections, learned positions, a tied head."""

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
    HfField,
    HfFields,
    LayerNorm,
    Linear,
    LmConfig,
    LmHeadModel,
    activation,
    dot_product_attention,
)

_DROPOUT = "trained without dropout"
_SUMMARY = "a head that is not the language-model head"


@LmConfig.register_subclass("test_gpt2")
@dataclass(frozen=True)
class Gpt2Config(LmConfig):
    max_seq_len: int = 1024
    hidden_dim: int = 768
    intermediate_dim: int = 3072
    num_layers: int = 12
    num_heads: int = 12
    activation: str = "gelu_new"
    norm_eps: float = 1e-5
    initializer_range: float = 0.02

    Embed = property(lambda self: Axis("embed", self.hidden_dim))
    Mlp = property(lambda self: Axis("mlp", self.intermediate_dim))
    Layers = property(lambda self: Axis("layer", self.num_layers))
    Qkv = property(lambda self: Axis("qkv", 3))
    Heads = property(lambda self: Axis("heads", self.num_heads))
    HeadSize = property(lambda self: Axis("head_size", self.hidden_dim // self.num_heads))

    hf_fields = HfFields(
        "GPT2Config",
        {
            "max_seq_len": "n_positions",
            "hidden_dim": "hidden_size",  # an alias of n_embd
            "intermediate_dim": HfField("n_inner", unset=lambda hf: 4 * hf.n_embd),
            "num_layers": "n_layer",
            "num_heads": "n_head",
            "activation": "activation_function",
            "norm_eps": "layer_norm_epsilon",
            "initializer_range": "initializer_range",
        },
        fixed={"tie_word_embeddings": True, "scale_attn_weights": True, "scale_attn_by_inverse_layer_idx": False},
        ignored={
            "n_ctx": "the older name of n_positions",
            "resid_pdrop": _DROPOUT,
            "embd_pdrop": _DROPOUT,
            "attn_pdrop": _DROPOUT,
            "summary_type": _SUMMARY,
            "reorder_and_upcast_attn": "the softmax is in fp32 always",
        },
    )

    @property
    def model_type(self) -> type["Gpt2LMHeadModel"]:
        return Gpt2LMHeadModel


class Gpt2Attention(ModuleWithStateDictSerialization):
    c_attn: hnn.Linear  # Embed -> (Qkv, Heads, HeadSize)
    c_proj: hnn.Linear  # (Heads, HeadSize) -> Embed
    config: Gpt2Config = eqx.field(static=True)

    @staticmethod
    def init(config: Gpt2Config, *, key) -> "Gpt2Attention":
        k_in, k_out = jrandom.split(key)
        std, Heads = config.initializer_range, (config.Heads, config.HeadSize)
        return Gpt2Attention(
            c_attn=Linear.init(config.Embed, (config.Qkv, *Heads), key=k_in, std=std, use_bias=True, out_first=False),
            c_proj=Linear.init(Heads, config.Embed, key=k_out, std=std, use_bias=True, out_first=False),
            config=config,
        )

    @named_call
    def __call__(self, x: NamedArray, mask: AttentionMask | None) -> NamedArray:
        q, k, v = self.c_attn(x).unbind("qkv")
        HeadSize = self.config.HeadSize
        return self.c_proj(dot_product_attention(q, k, v, mask, HeadSize=HeadSize, scale=HeadSize.size**-0.5))


class Gpt2Mlp(ModuleWithStateDictSerialization):
    c_fc: hnn.Linear
    c_proj: hnn.Linear
    act: Callable[[NamedArray], NamedArray] = eqx.field(static=True)

    @staticmethod
    def init(config: Gpt2Config, *, key) -> "Gpt2Mlp":
        k_in, k_out = jrandom.split(key)
        std = config.initializer_range
        return Gpt2Mlp(
            c_fc=Linear.init(config.Embed, config.Mlp, key=k_in, std=std, use_bias=True, out_first=False),
            c_proj=Linear.init(config.Mlp, config.Embed, key=k_out, std=std, use_bias=True, out_first=False),
            act=activation(config.activation),
        )

    @named_call
    def __call__(self, x: NamedArray) -> NamedArray:
        return self.c_proj(self.act(self.c_fc(x)))


class Gpt2DecoderLayer(ModuleWithStateDictSerialization):
    ln_1: LayerNorm
    attn: Gpt2Attention
    ln_2: LayerNorm
    mlp: Gpt2Mlp

    @staticmethod
    def init(config: Gpt2Config, *, key) -> "Gpt2DecoderLayer":
        k_attn, k_mlp = jrandom.split(key)
        return Gpt2DecoderLayer(
            ln_1=LayerNorm.init(config.Embed, eps=config.norm_eps),
            attn=Gpt2Attention.init(config, key=k_attn),
            ln_2=LayerNorm.init(config.Embed, eps=config.norm_eps),
            mlp=Gpt2Mlp.init(config, key=k_mlp),
        )

    @named_call
    def __call__(self, x: NamedArray, mask: AttentionMask | None) -> NamedArray:
        h = x + self.attn(self.ln_1(x), mask)
        return h + self.mlp(self.ln_2(h))


class Gpt2Transformer(ModuleWithStateDictSerialization):
    wte: hnn.Embedding
    wpe: hnn.Embedding
    h: Stacked[Gpt2DecoderLayer]
    ln_f: LayerNorm

    @staticmethod
    def init(Vocab: Axis, config: Gpt2Config, *, key) -> "Gpt2Transformer":
        k_tokens, k_positions, k_layers = jrandom.split(key, 3)
        make_layers = Stacked.init(config.Layers, Gpt2DecoderLayer, gradient_checkpointing=True)
        return Gpt2Transformer(
            wte=Embedding.init(Vocab, config.Embed, key=k_tokens, std=config.initializer_range),
            wpe=Embedding.init(config.Pos, config.Embed, key=k_positions, std=config.initializer_range),
            h=make_layers(config, key=shaped_rng_split(k_layers, config.num_layers)),
            ln_f=LayerNorm.init(config.Embed, eps=config.norm_eps),
        )

    @named_call
    def __call__(self, input_ids: NamedArray, mask: AttentionMask | None, pos_ids: NamedArray) -> NamedArray:
        return self.ln_f(self.h.fold(self.wte(input_ids) + self.wpe(pos_ids), mask))


class Gpt2LMHeadModel(LmHeadModel):
    transformer: Gpt2Transformer
    config: Gpt2Config = eqx.field(static=True)

    @classmethod
    def init(cls, Vocab: Axis, config: Gpt2Config, *, key) -> "Gpt2LMHeadModel":
        return cls(transformer=Gpt2Transformer.init(Vocab, config, key=key), config=config)

    def activations(self, input_ids, attn_mask=None, *, pos_ids=None, key=None) -> NamedArray:
        if pos_ids is None:
            pos_ids = hax.arange(input_ids.resolve_axis("position"))
        return self.transformer(input_ids, attn_mask, pos_ids)

    def get_lm_head(self) -> NamedArray:
        return self.transformer.wte.weight
