"""transformers' Llama in torch, with the fastest optimiser that torch has."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy
from transformers import LlamaConfig, LlamaForCausalLM

from benchmarks.step import BETAS, EPSILON, LEARNING_RATE, WEIGHT_DECAY


class TorchTrainer:
    """A model in training: each call is one step on the same tokens, and returns the loss before it.

    `attention` is transformers' name of an implementation: "eager" or "sdpa". The weights are those of `state`.
    """

    def __init__(
        self,
        config: LlamaConfig,
        attention: str,
        state: Mapping[str, np.ndarray[Any, Any]],
        tokens: np.ndarray[Any, Any],
    ) -> None:
        # A config of its own: transformers writes the attention's name into it.
        config = LlamaConfig(**{**config.to_dict(), "use_cache": False, "attn_implementation": attention})
        self.model: Any = LlamaForCausalLM(config)
        self.model.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in state.items()})
        self.tokens = torch.from_numpy(tokens.astype(np.int64))
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), LEARNING_RATE, BETAS, EPSILON, WEIGHT_DECAY, fused=True
        )

    def logits(self) -> torch.Tensor:
        """[batch, position, vocab]."""
        with torch.no_grad():
            logits: torch.Tensor = self.model(self.tokens).logits
        return logits

    def __call__(self) -> float:
        logits = self.model(self.tokens).logits
        loss = cross_entropy(logits[:, :-1].flatten(0, 1), self.tokens[:, 1:].flatten())
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return loss.item()


class TorchDecoder:
    """Greedy decoding with transformers' cache: each call gives the new tokens after the same prompts."""

    def __init__(
        self,
        config: LlamaConfig,
        state: Mapping[str, np.ndarray[Any, Any]],
        prompt: np.ndarray[Any, Any],
        new_tokens: int,
    ) -> None:
        self.model: Any = LlamaForCausalLM(LlamaConfig(**{**config.to_dict(), "attn_implementation": "sdpa"}))
        self.model.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in state.items()})
        self.prompt = torch.from_numpy(prompt.astype(np.int64))
        self.new_tokens = new_tokens

    def __call__(self) -> list[list[int]]:
        given = self.model.generate(
            self.prompt,
            attention_mask=torch.ones_like(self.prompt),
            max_new_tokens=self.new_tokens,
            do_sample=False,
            eos_token_id=self.model.config.vocab_size,  # none that is ever chosen
        )
        new: list[list[int]] = given[:, self.prompt.shape[1] :].tolist()
        return new
