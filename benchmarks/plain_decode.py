"""Greedy decoding of the hand-written Llama: a cache, layers in a loop, a scan over the new tokens."""

from typing import Any

import jax
import jax.numpy as jnp

from benchmarks.plain_llama import Params, PlainLlama, rms_norm, rotated

Cache = list[tuple[jax.Array, jax.Array]]  # [batch, kv_head, position, head_size], keys and values of each layer


def decode(llama: PlainLlama, params: Params, prompt: jax.Array, new_tokens: int) -> jax.Array:
    """`prompt` [batch, position] int -> [batch, new_tokens] int."""
    batch, length = prompt.shape
    room = (batch, llama.num_kv_heads, length + new_tokens, llama.head_dim)
    cache: Cache = [(jnp.zeros(room), jnp.zeros(room)) for _ in range(llama.num_layers)]
    first, cache = _step(llama, params, prompt, cache, 0)

    def body(carry: tuple[jax.Array, Cache, jax.Array], _: Any) -> tuple[Any, jax.Array]:
        last, cache, start = carry
        token, cache = _step(llama, params, last[:, None], cache, start)
        return (token, cache, start + 1), token

    _, rest = jax.lax.scan(body, (first, cache, jnp.asarray(length)), length=new_tokens - 1)
    return jnp.concatenate((first[:, None], rest.T), axis=1)


def _step(
    llama: PlainLlama, params: Params, tokens: jax.Array, cache: Cache, start: jax.Array | int
) -> tuple[jax.Array, Cache]:
    """The likeliest token after `tokens` [batch, position], `start` others before them, and the cache with them."""
    batch, length = tokens.shape
    kv_heads, groups, size = llama.num_kv_heads, llama.num_heads // llama.num_kv_heads, llama.head_dim
    positions = start + jnp.arange(length)
    frequencies = llama.theta ** (-jnp.arange(0, size, 2, dtype=jnp.float32) / size)
    angles = positions[:, None] * frequencies
    cos, sin = jnp.cos(angles), jnp.sin(angles)
    visible = jnp.arange(cache[0][0].shape[2]) <= positions[:, None]
    x, new = params["embed"][tokens], []
    for i in range(llama.num_layers):
        weights = jax.tree.map(lambda stack, i=i: stack[i], params["layers"])
        y = rms_norm(x, weights["attention_norm"], llama.eps)
        q = rotated((y @ weights["q"]).reshape(batch, length, -1, size), cos[:, None], sin[:, None])
        k = rotated((y @ weights["k"]).reshape(batch, length, kv_heads, size), cos[:, None], sin[:, None])
        v = (y @ weights["v"]).reshape(batch, length, kv_heads, size)
        keys = jax.lax.dynamic_update_slice(cache[i][0], k.transpose(0, 2, 1, 3), (0, 0, start, 0))
        values = jax.lax.dynamic_update_slice(cache[i][1], v.transpose(0, 2, 1, 3), (0, 0, start, 0))
        new.append((keys, values))
        queries = q.reshape(batch, length, kv_heads, groups, size).transpose(0, 2, 3, 1, 4)
        queries = queries.reshape(batch, kv_heads, groups * length, size)
        scores = (queries @ keys.swapaxes(2, 3)).reshape(batch, kv_heads, groups, length, -1) * size**-0.5
        attended = jax.nn.softmax(jnp.where(visible, scores, -jnp.inf), axis=-1)
        attended = (attended.reshape(batch, kv_heads, groups * length, -1) @ values).reshape(
            batch, kv_heads, groups, length, size
        )
        x = x + attended.transpose(0, 3, 1, 2, 4).reshape(batch, length, -1) @ weights["o"]
        y = rms_norm(x, weights["mlp_norm"], llama.eps)
        x = x + (jax.nn.silu(y @ weights["gate"]) * (y @ weights["up"])) @ weights["down"]
    logits = rms_norm(x[:, -1], params["norm"], llama.eps) @ params["head"]
    return jnp.argmax(logits, axis=-1), new
