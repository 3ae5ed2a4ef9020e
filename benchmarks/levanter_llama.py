"""Levanter's own Llama. Its environment is one of its own: Python 3.12, without torch (docs/training.md)."""

from typing import Any

import equinox as eqx
import jax.random as jrandom
from haliax import Axis, NamedArray
from haliax.state_dict import from_torch_compatible_state_dict
from levanter.layers.attention import AttentionMask
from levanter.layers.rotary import DefaultRotaryEmbeddingsConfig
from levanter.models.llama import LlamaConfig, LlamaLMHeadModel
from levanter.models.lm_model import LmExample

from benchmarks.weights import NamedModel, State


def levanter_config(config: Any) -> LlamaConfig:
    """Levanter's config with the hyperparameters of a generated Llama's."""
    return LlamaConfig(
        max_seq_len=config.max_seq_len,
        hidden_dim=config.hidden_dim,
        intermediate_dim=config.intermediate_dim,
        num_layers=config.num_layers,
        num_heads=config.num_heads,
        num_kv_heads=config.num_kv_heads,
        head_dim=config.head_dim,
        layer_norm_epsilon=config.norm_eps,
        rope=DefaultRotaryEmbeddingsConfig(theta=config.rope.theta),
    )


def levanter_llama(config: Any, Vocab: Axis, Batch: Axis, state: State) -> NamedModel:
    """Its Llama as its trainer runs it, with the weights of `state`."""
    ours = levanter_config(config)
    model = eqx.filter_jit(LlamaLMHeadModel.init)(Vocab, ours, key=jrandom.PRNGKey(0))
    model = from_torch_compatible_state_dict(model, dict(state))
    return NamedModel(model, (Batch, ours.max_Pos), _example)


def _example(tokens: NamedArray) -> LmExample:
    """What `LmExample.causal` makes of one sequence, for a batch of them."""
    weight = LmExample.causal_loss_mask(tokens.resolve_axis("position")).astype("float32").broadcast_axis(tokens.axes)
    return LmExample(tokens=tokens, loss_weight=weight.rearrange(tokens.axes), attn_mask=AttentionMask.causal())


def load(folder: Path) -> LlamaLMHeadModel:
    """A folder's Llama by Levanter's loader."""
    with jax.set_mesh(jax.make_mesh((1,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))):
        return _converter(folder).load_pretrained(LlamaLMHeadModel, ref=str(folder), axis_mapping={})


def save(model: LlamaLMHeadModel, folder: Path) -> None:
    """Write the folder by Levanter's saving."""
    _converter(folder).save_pretrained(model, str(folder), save_tokenizer=False)


def _converter(folder: Path) -> HFCheckpointConverter:
    """Without a tokenizer, so that its vocabulary's size is not asked for."""
    return HFCheckpointConverter(
        LlamaConfig, reference_checkpoint=str(folder), HfConfigClass=HfLlamaConfig, tokenizer=None
    )
