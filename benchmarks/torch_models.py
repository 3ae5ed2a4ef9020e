"""transformers' models in torch, with the fastest optimiser that torch has."""

import copy
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM, PreTrainedConfig

from benchmarks.step import BETAS, EPSILON, LEARNING_RATE, WEIGHT_DECAY
from benchmarks.weights import State


def cannot_compile() -> str | None:
    """Why `torch.compile` can't be timed here, None where it can: on a CPU it writes C++ and compiles that."""
    compiler = os.environ.get("CXX", "g++")
    return None if shutil.which(compiler) else f"no C++ compiler {compiler!r}, which torch.compile needs"


def _model(config: PreTrainedConfig, attention: str, state: State) -> Any:
    """`attention`: transformers' name of an implementation, "eager" or "sdpa"."""
    config = copy.deepcopy(config)  # transformers writes the attention's name into it
    model: Any = AutoModelForCausalLM.from_config(config, attn_implementation=attention)
    tensors = {name: torch.from_numpy(array.copy()) for name, array in state.items()}
    missing, strange = model.load_state_dict(tensors, strict=False)
    if strange or any(name not in model._tied_weights_keys for name in missing):
        raise RuntimeError(f"the checkpoint does not fit: missing {missing}, unexpected {strange}")
    return model.eval()  # no dropout


def load_copied(folder: Path) -> Any:
    """The model in a folder with weights of its own: `from_pretrained` maps the file and reads nothing yet."""
    model: Any = AutoModelForCausalLM.from_pretrained(folder)
    for parameter in model.parameters():
        parameter.data = parameter.data.clone()
    return model


class TorchTrainer:
    """A model in training: each call is one step on the same tokens, and returns the loss before it."""

    def __init__(
        self, config: PreTrainedConfig, attention: str, state: State, tokens: np.ndarray[Any, Any], *, compiled: bool
    ) -> None:
        self.model = _model(config, attention, state)
        self.model.config.use_cache = False
        if compiled:
            self.model.compile()
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

    def __init__(self, config: PreTrainedConfig, state: State, prompt: np.ndarray[Any, Any], new_tokens: int) -> None:
        self.model = _model(config, "sdpa", state)
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
