"""A value is unpacked in a conversion to or from Hugging Face and never used.

Why: What a checkpoint says is dropped in silence. With the rope scaling thrown away, a long-context checkpoint loads
without error and is wrong beyond its original length.

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
        theta, _ = rope_of(hf_config)
        return cls(hidden_dim=hf_config.hidden_size, theta=theta)


def rope_of(hf_config) -> tuple[float, dict]:
    return hf_config.rope_parameters["rope_theta"], hf_config.rope_parameters


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
        theta, scaling = rope_of(hf_config)
        if scaling["rope_type"] != "default":
            raise ValueError(f"rope_type: expected 'default', got {scaling['rope_type']!r}")
        return cls(hidden_dim=hf_config.hidden_size, theta=theta)


def rope_of(hf_config) -> tuple[float, dict]:
    return hf_config.rope_parameters["rope_theta"], hf_config.rope_parameters


def theta(config: ExampleConfig) -> float:
    return config.theta
```

Fix: Map the value, or refuse what the model cannot serve.
"""

import ast
from collections.abc import Iterator

from levgen.check.analysis.hf_maps import hf_methods
from levgen.check.files.model_file import ModelFile
from levgen.check.rule import Problem, model_rule


@model_rule
def check(model: ModelFile) -> Iterator[Problem]:
    for config in model.configs:
        for method in hf_methods(config):
            loaded = {one.id for one in model.nodes.within(method, ast.Name) if isinstance(one.ctx, ast.Load)}
            for node in model.nodes.within(method, ast.Assign):
                target = node.targets[0]
                if not isinstance(target, ast.Tuple) or not isinstance(node.value, ast.Call):
                    continue
                for number, item in enumerate(target.elts, 1):
                    if isinstance(item, ast.Name) and item.id not in loaded:
                        source = ast.unparse(node.value)
                        yield Problem(
                            item, f"value {number} of `{source}` is dropped: map it, or refuse what it may hold"
                        )
