"""`rope_theta` or `rope_scaling` is read from the Hugging Face config.

Why: transformers 5 holds both in `rope_parameters`: reading `hf_config.rope_theta` raises AttributeError, so no
checkpoint loads.

Bad:
```python models/example.py
from dataclasses import dataclass

from haliax import Axis

from levgen.runtime import LmConfig


@LmConfig.register_subclass("example")
@dataclass(frozen=True)
class ExampleConfig(LmConfig):
    hidden_dim: int = 64
    theta: float = 10000.0

    Embed = property(lambda self: Axis("embed", self.hidden_dim))

    @classmethod
    def from_hf_config(cls, hf_config):
        return cls(hidden_dim=hf_config.hidden_size, theta=hf_config.rope_theta)


def theta(config: ExampleConfig) -> float:
    return config.theta
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
    theta: float = 10000.0

    Embed = property(lambda self: Axis("embed", self.hidden_dim))

    @classmethod
    def from_hf_config(cls, hf_config):
        return cls(hidden_dim=hf_config.hidden_size, theta=hf_config.rope_parameters["rope_theta"])


def theta(config: ExampleConfig) -> float:
    return config.theta
```

Fix: Read `hf_config.rope_parameters`, or give the config a field of type `Rotary`, which converts itself.
"""

import ast
from collections.abc import Iterator

from levgen.check.files.model_file import ModelFile
from levgen.check.rule import Problem, model_rule

_OLD = frozenset({"rope_theta", "rope_scaling"})


@model_rule
def check(model: ModelFile) -> Iterator[Problem]:
    for config in model.configs:
        method = config.methods.get("from_hf_config")
        if method is None or len(method.args.args) < 2:
            continue
        hf_config = method.args.args[1].arg
        for node in model.nodes.within(method, ast.Attribute):
            if node.attr in _OLD and isinstance(node.value, ast.Name) and node.value.id == hf_config:
                yield Problem(node, f"`{hf_config}.{node.attr}` is gone in transformers 5: read `rope_parameters`")
