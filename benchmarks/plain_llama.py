"""A Llama written by hand in plain JAX: what a careful person without levgen would have.

Parameters are a dictionary of arrays, with all layers of a weight stacked along the first axis; matrices are [in, out].
Source: transformers.models.llama.modeling_llama.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

Params = dict[str, Any]
Layers = Literal["scan", "scan + remat", "unrolled"]

# Ours -> the name in a checkpoint, after `model.layers.{layer}.`.
LAYER_NAMES = {
    "attention_norm": "input_layernorm.weight",
    "q": "self_attn.q_proj.weight",
    "k": "self_attn.k_proj.weight",
    "v": "self_attn.v_proj.weight",
    "o": "self_attn.o_proj.weight",
    "mlp_norm": "post_attention_layernorm.weight",
    "gate": "mlp.gate_proj.weight",
    "up": "mlp.up_proj.weight",
    "down": "mlp.down_proj.weight",
}


@dataclass(frozen=True)
class PlainLlama:
    """Hyperparameters. `layers`: a `lax.scan`, the same with every layer computed again for its gradient, or a loop."""

    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    theta: float
    eps: float
    layers: Layers

    def params(self, state: Mapping[str, np.ndarray[Any, Any]]) -> Params:
        """The parameters of a checkpoint `state`: Hugging Face's names and layout."""

        def stacked(name: str) -> jax.Array:
            return jnp.stack([jnp.asarray(state[f"model.layers.{i}.{name}"].T) for i in range(self.num_layers)])

        return {
            "embed": jnp.asarray(state["model.embed_tokens.weight"]),
            "layers": {ours: stacked(name) for ours, name in LAYER_NAMES.items()},
            "norm": jnp.asarray(state["model.norm.weight"]),
            "head": jnp.asarray(state["lm_head.weight"].T),
        }

    def logits(self, params: Params, tokens: jax.Array) -> jax.Array:
        """`tokens` [batch, position] int -> [batch, position, vocab] fp32."""
        length = tokens.shape[1]
        frequencies = self.theta ** (-jnp.arange(0, self.head_dim, 2, dtype=jnp.float32) / self.head_dim)
        angles = jnp.arange(length, dtype=jnp.float32)[:, None] * frequencies
        cos, sin = jnp.cos(angles), jnp.sin(angles)
        mask = jnp.tril(jnp.ones((length, length), bool))

        def layer(x: jax.Array, weights: Params) -> tuple[jax.Array, None]:
            h = x + self._attention(rms_norm(x, weights["attention_norm"], self.eps), weights, cos, sin, mask)
            y = rms_norm(h, weights["mlp_norm"], self.eps)
            return h + (jax.nn.silu(y @ weights["gate"]) * (y @ weights["up"])) @ weights["down"], None

        x = params["embed"][tokens]
        if self.layers == "unrolled":
            for i in range(self.num_layers):
                x, _ = layer(x, jax.tree.map(lambda stack, i=i: stack[i], params["layers"]))
        else:
            body = jax.checkpoint(layer) if self.layers == "scan + remat" else layer
            x, _ = jax.lax.scan(body, x, params["layers"])
        logits: jax.Array = rms_norm(x, params["norm"], self.eps) @ params["head"]
        return logits

    def loss(self, params: Params, tokens: jax.Array) -> jax.Array:
        """The mean cross-entropy of the next token over all positions that have one."""
        return cross_entropy(self.logits(params, tokens), tokens)

    def _attention(self, x: jax.Array, weights: Params, cos: jax.Array, sin: jax.Array, mask: jax.Array) -> jax.Array:
        """Grouped-query attention, batched over kv heads: a group's queries lie beneath one another."""
        batch, length, _ = x.shape
        kv_heads, groups, size = self.num_kv_heads, self.num_heads // self.num_kv_heads, self.head_dim
        q = (x @ weights["q"]).reshape(batch, length, kv_heads, groups, size)
        k = (x @ weights["k"]).reshape(batch, length, kv_heads, size)
        v = (x @ weights["v"]).reshape(batch, length, kv_heads, size)
        q = rotated(q, cos[:, None, None], sin[:, None, None])
        k = rotated(k, cos[:, None], sin[:, None])
        queries = q.transpose(0, 2, 3, 1, 4).reshape(batch, kv_heads, groups * length, size)
        scores = (queries @ k.transpose(0, 2, 3, 1)).reshape(batch, kv_heads, groups, length, length)
        weighted = jax.nn.softmax(jnp.where(mask, scores * size**-0.5, -jnp.inf), axis=-1)
        attended = weighted.reshape(batch, kv_heads, groups * length, length) @ v.transpose(0, 2, 1, 3)
        joined = attended.reshape(batch, kv_heads, groups, length, size).transpose(0, 3, 1, 2, 4)
        out: jax.Array = joined.reshape(batch, length, -1) @ weights["o"]
        return out


def cross_entropy(logits: jax.Array, tokens: jax.Array) -> jax.Array:
    """`logits` [batch, position, vocab] of `tokens` [batch, position] -> the mean loss of the next token."""
    logits = logits[:, :-1]
    targets = jnp.take_along_axis(logits, tokens[:, 1:, None], axis=-1)[..., 0]
    return jnp.mean(jax.nn.logsumexp(logits, axis=-1) - targets)


def rms_norm(x: jax.Array, weight: jax.Array, eps: float) -> jax.Array:
    return x * jax.lax.rsqrt(jnp.mean(jnp.square(x), axis=-1, keepdims=True) + eps) * weight


def rotated(x: jax.Array, cos: jax.Array, sin: jax.Array) -> jax.Array:
    """`x` [batch, position, ..., head_size]: dimension i turns with i + half."""
    first, second = jnp.split(x, 2, axis=-1)
    return jnp.concatenate((first * cos - second * sin, second * cos + first * sin), axis=-1)
