"""Small transformers models with every parameter random, and what they say of some tokens."""

import haliax as hax
import jax.numpy as jnp
import numpy as np
import torch
from gpt2_model import Gpt2LMHeadModel
from llama_model import LlamaLMHeadModel
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from levgen.runtime.testing import randomize

LLAMA3_ROPE = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}


def llama(**changes):
    values = {
        "vocab_size": 96,
        "hidden_size": 64,
        "intermediate_size": 80,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 32,
        "max_position_embeddings": 128,
        "attention_bias": True,
        "rope_parameters": LLAMA3_ROPE,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    return randomize(LlamaForCausalLM(LlamaConfig(**{**values, **changes})))


def gpt2(**changes):
    values = {"vocab_size": 96, "n_embd": 64, "n_layer": 3, "n_head": 4, "n_positions": 64}
    return randomize(GPT2LMHeadModel(GPT2Config(**{**values, "bos_token_id": 1, "eos_token_id": 2, **changes})))


CASES = {
    "llama": (LlamaLMHeadModel, llama),
    "llama tied": (LlamaLMHeadModel, lambda: llama(tie_word_embeddings=True)),
    "gpt2": (Gpt2LMHeadModel, gpt2),
}

IDS = np.random.default_rng(0).integers(0, 96, (2, 40))
TOKENS = hax.named(jnp.asarray(IDS), ("batch", "position"))


def reference_logits(hf_model):
    with torch.no_grad():
        return hf_model(torch.from_numpy(IDS)).logits
