"""A decoder small enough to train in a test: rotary attention and a gated MLP over scanned layers."""

from dataclasses import dataclass

import equinox as eqx
import haliax as hax
import haliax.nn as hnn
import jax.random as jrandom
from haliax import Axis, NamedArray
from haliax.jax_utils import shaped_rng_split
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


@LmConfig.register_subclass("tiny")
@dataclass(frozen=True)
class TinyConfig(LmConfig):
    """Hyperparameters and axes."""

    max_seq_len: int = 32
    hidden_dim: int = 32
    num_layers: int = 2
    num_heads: int = 2
    rope: Rotary = Rotary(theta=10000.0)

    hf_fields = HfFields(
        None,
        {"max_seq_len": "max_seq_len", "hidden_dim": "hidden_dim", "num_layers": "depth", "num_heads": "num_heads"},
    )

    Embed = property(lambda self: Axis("embed", self.hidden_dim))
    Mlp = property(lambda self: Axis("mlp", 2 * self.hidden_dim))
    Layers = property(lambda self: Axis("layer", self.num_layers))
    Heads = property(lambda self: Axis("heads", self.num_heads))
    HeadSize = property(lambda self: Axis("head_size", self.hidden_dim // self.num_heads))

    @property
    def model_type(self) -> type["TinyLMHeadModel"]:
        return TinyLMHeadModel


class TinyLayer(ModuleWithStateDictSerialization):
    """One block."""

    q_proj: hnn.Linear
    k_proj: hnn.Linear
    v_proj: hnn.Linear
    o_proj: hnn.Linear
    up_proj: hnn.Linear
    down_proj: hnn.Linear
    input_norm: RmsNorm
    mlp_norm: RmsNorm
    config: TinyConfig = eqx.field(static=True)

    @staticmethod
    def init(config: TinyConfig, *, key) -> "TinyLayer":
        keys = jrandom.split(key, 6)
        Heads = (config.Heads, config.HeadSize)
        return TinyLayer(
            q_proj=Linear.init(config.Embed, Heads, key=keys[0], std=0.1, use_bias=False),
            k_proj=Linear.init(config.Embed, Heads, key=keys[1], std=0.1, use_bias=False),
            v_proj=Linear.init(config.Embed, Heads, key=keys[2], std=0.1, use_bias=False),
            o_proj=Linear.init(Heads, config.Embed, key=keys[3], std=0.1, use_bias=True),
            up_proj=Linear.init(config.Embed, config.Mlp, key=keys[4], std=0.1, use_bias=False),
            down_proj=Linear.init(config.Mlp, config.Embed, key=keys[5], std=0.1, use_bias=False),
            input_norm=RmsNorm.init(config.Embed, eps=1e-6),
            mlp_norm=RmsNorm.init(config.Embed, eps=1e-6),
            config=config,
        )

    def __call__(self, x: NamedArray, mask: AttentionMask | None, pos_ids: NamedArray) -> NamedArray:
        HeadSize, rope = self.config.HeadSize, self.config.rope
        h = self.input_norm(x)
        q, k = rope(self.q_proj(h), pos_ids, HeadSize), rope(self.k_proj(h), pos_ids, HeadSize)
        attended = dot_product_attention(q, k, self.v_proj(h), mask, HeadSize=HeadSize, scale=HeadSize.size**-0.5)
        x = x + self.o_proj(attended)
        return x + self.down_proj(activation("silu")(self.up_proj(self.mlp_norm(x))))


class TinyLMHeadModel(LmHeadModel):
    """Embedding, blocks, final norm and an untied head."""

    embeddings: hnn.Embedding
    layers: Stacked[TinyLayer]
    norm: RmsNorm
    lm_head: hnn.Linear
    config: TinyConfig = eqx.field(static=True)

    @classmethod
    def init(cls, Vocab: Axis, config: TinyConfig, *, key) -> "TinyLMHeadModel":
        k_embed, k_layers, k_head = jrandom.split(key, 3)
        make_layers = Stacked.init(config.Layers, TinyLayer, gradient_checkpointing=True)
        return cls(
            embeddings=Embedding.init(Vocab, config.Embed, key=k_embed, std=0.1),
            layers=make_layers(config, key=shaped_rng_split(k_layers, config.num_layers)),
            norm=RmsNorm.init(config.Embed, eps=1e-6),
            lm_head=Linear.init(config.Embed, Vocab, key=k_head, std=0.1, use_bias=False),
            config=config,
        )

    def activations(self, input_ids, attn_mask=None, *, pos_ids=None, key=None) -> NamedArray:
        if pos_ids is None:
            pos_ids = hax.arange(input_ids.resolve_axis("position"))
        return self.norm(self.layers.fold(self.embeddings(input_ids), attn_mask, pos_ids))

    def get_lm_head(self) -> NamedArray:
        return self.lm_head.weight
