"""A Llama in flax.nnx, as its users write one: layers of the library, jax's attention, a Python loop over layers."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from benchmarks.plain_llama import PlainLlama, cross_entropy, rotated
from benchmarks.weights import State


class Attention(nnx.Module):
    def __init__(self, llama: PlainLlama, hidden: int, rngs: nnx.Rngs) -> None:
        queries, keys = (heads * llama.head_dim for heads in (llama.num_heads, llama.num_kv_heads))
        self.size = llama.head_dim
        self.q_proj = nnx.Linear(hidden, queries, use_bias=False, rngs=rngs)
        self.k_proj = nnx.Linear(hidden, keys, use_bias=False, rngs=rngs)
        self.v_proj = nnx.Linear(hidden, keys, use_bias=False, rngs=rngs)
        self.o_proj = nnx.Linear(queries, hidden, use_bias=False, rngs=rngs)

    def __call__(self, x: jax.Array, cos: jax.Array, sin: jax.Array) -> jax.Array:
        batch, length, _ = x.shape
        heads = (batch, length, -1, self.size)
        q = rotated(self.q_proj(x).reshape(heads), cos[:, None], sin[:, None])
        k = rotated(self.k_proj(x).reshape(heads), cos[:, None], sin[:, None])
        attended = jax.nn.dot_product_attention(q, k, self.v_proj(x).reshape(heads), is_causal=True)
        return self.o_proj(attended.reshape(batch, length, -1))


class Mlp(nnx.Module):
    def __init__(self, hidden: int, inner: int, rngs: nnx.Rngs) -> None:
        self.gate_proj = nnx.Linear(hidden, inner, use_bias=False, rngs=rngs)
        self.up_proj = nnx.Linear(hidden, inner, use_bias=False, rngs=rngs)
        self.down_proj = nnx.Linear(inner, hidden, use_bias=False, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.down_proj(nnx.silu(self.gate_proj(x)) * self.up_proj(x))


class DecoderLayer(nnx.Module):
    def __init__(self, llama: PlainLlama, hidden: int, inner: int, rngs: nnx.Rngs) -> None:
        self.self_attn = Attention(llama, hidden, rngs)
        self.mlp = Mlp(hidden, inner, rngs)
        self.input_layernorm = nnx.RMSNorm(hidden, epsilon=llama.eps, rngs=rngs)
        self.post_attention_layernorm = nnx.RMSNorm(hidden, epsilon=llama.eps, rngs=rngs)

    def __call__(self, x: jax.Array, cos: jax.Array, sin: jax.Array) -> jax.Array:
        h = x + self.self_attn(self.input_layernorm(x), cos, sin)
        return h + self.mlp(self.post_attention_layernorm(h))


class Llama(nnx.Module):
    def __init__(self, llama: PlainLlama, vocab: int, hidden: int, inner: int, rngs: nnx.Rngs) -> None:
        self.llama = llama
        self.embed_tokens = nnx.Embed(vocab, hidden, rngs=rngs)
        self.layers = nnx.List([DecoderLayer(llama, hidden, inner, rngs) for _ in range(llama.num_layers)])
        self.norm = nnx.RMSNorm(hidden, epsilon=llama.eps, rngs=rngs)
        self.lm_head = nnx.Linear(hidden, vocab, use_bias=False, rngs=rngs)

    def __call__(self, tokens: jax.Array) -> jax.Array:
        """`tokens` [batch, position] int -> [batch, position, vocab]."""
        size = self.llama.head_dim
        frequencies = self.llama.theta ** (-jnp.arange(0, size, 2, dtype=jnp.float32) / size)
        angles = jnp.arange(tokens.shape[1], dtype=jnp.float32)[:, None] * frequencies
        x = self.embed_tokens(tokens)
        for layer in self.layers:
            x = layer(x, jnp.cos(angles), jnp.sin(angles))
        return self.lm_head(self.norm(x))


class NnxLlama:
    """The model as functions of (parameters, tokens). The weights are those of `state`, a Llama's checkpoint."""

    def __init__(self, llama: PlainLlama, state: State) -> None:
        vocab, hidden = state["model.embed_tokens.weight"].shape
        inner = state["model.layers.0.mlp.up_proj.weight"].shape[0]
        model = Llama(llama, vocab, hidden, inner, nnx.Rngs(0))
        self._graph, params = nnx.split(model)
        self.params = jax.tree_util.tree_map_with_path(lambda path, _: self._weight(path, state), params)

    def logits(self, params: Any, tokens: jax.Array) -> jax.Array:
        """`tokens` [batch, position] int -> [batch, position, vocab]."""
        logits: jax.Array = nnx.merge(self._graph, params)(tokens)
        return logits

    def loss(self, params: Any, tokens: jax.Array) -> jax.Array:
        """The mean cross-entropy of the next token."""
        return cross_entropy(self.logits(params, tokens), tokens)

    @staticmethod
    def _weight(path: Any, state: State) -> jax.Array:
        """The tensor for an nnx parameter: a kernel is [in, out], and a norm's weight is called scale."""
        *modules, kind = [str(part) for part in (getattr(key, "key", getattr(key, "name", key)) for key in path)][:-1]
        name = ".".join(modules) + ".weight"
        array = state[name if name in state else f"model.{name}"]
        return jnp.asarray(array.T if kind == "kernel" else array)
