"""Levanter's own Llama. Its environment is one of its own: Python 3.12, without torch (docs/training.md)."""

from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.random as jrandom
from haliax import Axis, NamedArray
from haliax.state_dict import from_torch_compatible_state_dict
from levanter.compat.hf_checkpoints import HFCheckpointConverter
from levanter.layers.attention import AttentionMask
from levanter.layers.rotary import DefaultRotaryEmbeddingsConfig
from levanter.models.llama import LlamaConfig, LlamaLMHeadModel
from levanter.models.lm_model import LmExample
from transformers import LlamaConfig as HfLlamaConfig

from benchmarks.weights import NamedModel, State
from levgen.training import data_dir


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
    with _one_device():
        return _converter(folder).load_pretrained(LlamaLMHeadModel, ref=str(folder), axis_mapping={})


def save(model: LlamaLMHeadModel, folder: Path, like: Path) -> None:
    """Write the folder by Levanter's saving; `like`: the one that the model came from."""
    with _one_device():
        _converter(like).save_pretrained(model, str(folder), save_tokenizer=False)


def _one_device() -> Any:
    return jax.set_mesh(jax.make_mesh((1,), ("data",), axis_types=(jax.sharding.AxisType.Auto,)))


def _converter(folder: Path) -> Any:
    tokenizer = str(data_dir() / "tokenizer")  # it needs one, and looks on the hub without
    return HFCheckpointConverter(LlamaConfig, str(folder), HfLlamaConfig, tokenizer)
