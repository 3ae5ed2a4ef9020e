"""A GPT-2 written by hand in plain JAX, as `plain_llama.py` is a Llama.

Source: transformers.models.gpt2.modeling_gpt2.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.plain_llama import Layers, Params, cross_entropy

LAYER_NAMES = ("ln_1", "attn.c_attn", "attn.c_proj", "ln_2", "mlp.c_fc", "mlp.c_proj")


@dataclass(frozen=True)
class PlainGpt2:
    """Hyperparameters. `layers` as for `PlainLlama`."""

    num_layers: int
    num_heads: int
    eps: float
    layers: Layers

    def params(self, state: Mapping[str, np.ndarray[Any, Any]]) -> Params:
        """The parameters of a checkpoint `state`: Hugging Face's names and layout, which is [in, out] here."""

        def stacked(name: str) -> jax.Array:
            return jnp.stack([jnp.asarray(state[f"transformer.h.{i}.{name}"]) for i in range(self.num_layers)])

        both = [f"{name}.{kind}" for name in LAYER_NAMES for kind in ("weight", "bias")]
        return {
            "embed": jnp.asarray(state["transformer.wte.weight"]),
            "positions": jnp.asarray(state["transformer.wpe.weight"]),
            "layers": {name: stacked(name) for name in both},
            "norm": {kind: jnp.asarray(state[f"transformer.ln_f.{kind}"]) for kind in ("weight", "bias")},
        }

    def logits(self, params: Params, tokens: jax.Array) -> jax.Array:
        """`tokens` [batch, position] int -> [batch, position, vocab] fp32."""
        length = tokens.shape[1]
        mask = jnp.tril(jnp.ones((length, length), bool))

        def layer(x: jax.Array, weights: Params) -> tuple[jax.Array, None]:
            def linear(name: str, y: jax.Array) -> jax.Array:
                out: jax.Array = y @ weights[f"{name}.weight"] + weights[f"{name}.bias"]
                return out

            def norm(name: str, y: jax.Array) -> jax.Array:
                return layer_norm(y, weights[f"{name}.weight"], weights[f"{name}.bias"], self.eps)

            attended = self._attention(linear("attn.c_attn", norm("ln_1", x)), mask)
            h = x + linear("attn.c_proj", attended)
            y = jax.nn.gelu(linear("mlp.c_fc", norm("ln_2", h)), approximate=True)
            return h + linear("mlp.c_proj", y), None

        x = params["embed"][tokens] + params["positions"][:length]
        if self.layers == "unrolled":
            for i in range(self.num_layers):
                x, _ = layer(x, jax.tree.map(lambda stack, i=i: stack[i], params["layers"]))
        else:
            body = jax.checkpoint(layer) if self.layers == "scan + remat" else layer
            x, _ = jax.lax.scan(body, x, params["layers"])
        last = layer_norm(x, params["norm"]["weight"], params["norm"]["bias"], self.eps)
        return last @ params["embed"].T

    def loss(self, params: Params, tokens: jax.Array) -> jax.Array:
        """The mean cross-entropy of the next token over all positions that have one."""
        return cross_entropy(self.logits(params, tokens), tokens)

    def _attention(self, qkv: jax.Array, mask: jax.Array) -> jax.Array:
        """`qkv` [batch, position, 3 * heads * size] -> [batch, position, heads * size]."""
        batch, length, _ = qkv.shape
        q, k, v = qkv.reshape(batch, length, 3, self.num_heads, -1).transpose(2, 0, 3, 1, 4)
        scores = q @ k.swapaxes(2, 3) * q.shape[-1] ** -0.5
        weighted = jax.nn.softmax(jnp.where(mask, scores, -jnp.inf), axis=-1)
        return (weighted @ v).transpose(0, 2, 1, 3).reshape(batch, length, -1)


def layer_norm(x: jax.Array, weight: jax.Array, bias: jax.Array, eps: float) -> jax.Array:
    centred = x - jnp.mean(x, axis=-1, keepdims=True)
    return centred * jax.lax.rsqrt(jnp.mean(jnp.square(centred), axis=-1, keepdims=True) + eps) * weight + bias
