"""The models that are timed, by their dimensions: generated ones and the hand-written one."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from haliax import Axis

from benchmarks.generated import generated_model
from benchmarks.plain_gpt2 import PlainGpt2
from benchmarks.plain_llama import Layers, PlainLlama
from levgen.project import Project

_PROJECT = Project(Path())


@dataclass(frozen=True)
class Size:
    """Dimensions of a model and of its batch."""

    hidden: int = 256
    layers: int = 4
    heads: int = 8
    kv_heads: int = 4
    mlp: int = 768
    vocab: int = 4096
    batch: int = 4
    length: int = 256

    Vocab = property(lambda self: Axis("vocab", self.vocab))
    Batch = property(lambda self: Axis("batch", self.batch))

    def llama(self) -> Any:
        """The generated Llama's config."""
        return generated_model("llama", _PROJECT).LlamaConfig(
            max_seq_len=self.length,
            hidden_dim=self.hidden,
            intermediate_dim=self.mlp,
            num_layers=self.layers,
            num_heads=self.heads,
            num_kv_heads=self.kv_heads,
            head_dim=self.hidden // self.heads,
        )

    def gpt2(self) -> Any:
        """The generated GPT-2's config."""
        return generated_model("gpt2", _PROJECT).Gpt2Config(
            max_seq_len=self.length,
            hidden_dim=self.hidden,
            intermediate_dim=self.mlp,
            num_layers=self.layers,
            num_heads=self.heads,
        )

    def plain_llama(self, layers: Layers) -> PlainLlama:
        """The hand-written Llama with the generated one's hyperparameters."""
        config = self.llama()
        return PlainLlama(
            num_layers=config.num_layers,
            num_heads=config.num_heads,
            num_kv_heads=config.num_kv_heads,
            head_dim=config.head_dim,
            theta=config.rope.theta,
            eps=config.norm_eps,
            layers=layers,
        )

    def plain_gpt2(self, layers: Layers) -> PlainGpt2:
        """The hand-written GPT-2 with the generated one's hyperparameters."""
        config = self.gpt2()
        return PlainGpt2(config.num_layers, config.num_heads, config.norm_eps, layers)


def model_class(model_type: str) -> Any:
    """The class of the generated model of that type."""
    config_class = {"llama": "LlamaConfig", "gpt2": "Gpt2Config"}[model_type]
    return getattr(generated_model(model_type, _PROJECT), config_class)().model_type


FULL = Size()
QUICK = Size(hidden=32, layers=2, heads=4, kv_heads=2, mlp=64, vocab=128, batch=2, length=16)
