"""`flops_per_token` takes the head size for hidden size over heads, though the config has its own.

Why: The trainer divides by this number: with a head_dim of 256 where hidden over heads is 128, attention is counted
at half, and the utilisation that is reported is wrong by as much.

Bad:
```python models/example.py
from dataclasses import dataclass

from haliax import Axis

from levgen.runtime import LmConfig


@LmConfig.register_subclass("example")
@dataclass(frozen=True)
class ExampleConfig(LmConfig):
    hidden_dim: int = 64
    head_dim: int = 32

    Embed = property(lambda self: Axis("embed", self.hidden_dim))

    def flops_per_token(self, vocab_size, context_length):
        return 8 * self.hidden_dim**2 + 4 * context_length * self.hidden_dim


def head_size(config: ExampleConfig) -> Axis:
    return Axis("head_size", config.head_dim)
```

Good:
```python models/example.py
from dataclasses import dataclass

from haliax import Axis

from levgen.runtime import LmConfig


@LmConfig.register_subclass("example")
@dataclass(frozen=True)
class ExampleConfig(LmConfig):
    hidden_dim: int = 64
    head_dim: int = 32

    Embed = property(lambda self: Axis("embed", self.hidden_dim))

    def flops_per_token(self, vocab_size, context_length):
        return 8 * self.hidden_dim * self.head_dim + 4 * context_length * self.head_dim


def head_size(config: ExampleConfig) -> Axis:
    return Axis("head_size", config.head_dim)
```

Fix: Count with the head size, or leave the method to the runtime, which does.
"""

import re
from collections.abc import Iterator

from levgen.check.analysis.reads import attributes_read
from levgen.check.files.model_file import ModelFile
from levgen.check.rule import Problem, model_rule


@model_rule
def check(model: ModelFile) -> Iterator[Problem]:
    for config in model.configs:
        method = config.methods.get("flops_per_token")
        if method is None or "head_dim" not in config.all_fields:
            continue
        names = attributes_read(model, method)
        calls_super = "flops_per_token" in names
        knows_head_size = any(re.search(r"head_?(dim|size)", name, re.IGNORECASE) for name in names)
        if "hidden_dim" in names and not calls_super and not knows_head_size:
            yield Problem(method, f"`{config.name}.flops_per_token` does not use `head_dim`")
