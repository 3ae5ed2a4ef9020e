"""A value of the Hugging Face config is looked at and makes no difference.

Why: An `if` whose branches are equal takes every checkpoint for the same: a model trained with another activation
loads with the wrong one.

Bad:
```python models/example.py
from dataclasses import dataclass

from haliax import Axis

from levgen.runtime import LmConfig


@LmConfig.register_subclass("example")
@dataclass(frozen=True)
class ExampleConfig(LmConfig):
    hidden_dim: int = 64
    activation: str = "silu"

    Embed = property(lambda self: Axis("embed", self.hidden_dim))

    @classmethod
    def from_hf_config(cls, hf_config):
        if hf_config.hidden_act is None:
            act = "silu"
        else:
            act = "silu"
        return cls(hidden_dim=hf_config.hidden_size, activation=act)


def act(config: ExampleConfig) -> str:
    return config.activation
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
    activation: str = "silu"

    Embed = property(lambda self: Axis("embed", self.hidden_dim))

    @classmethod
    def from_hf_config(cls, hf_config):
        if hf_config.hidden_act is None:
            act = "silu"
        else:
            act = hf_config.hidden_act
        return cls(hidden_dim=hf_config.hidden_size, activation=act)


def act(config: ExampleConfig) -> str:
    return config.activation
```

Fix: Use the value in the branch where it is set, or refuse the values that the model cannot serve.
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
            for node in model.nodes.within(method, ast.If):
                if node.orelse and [*map(ast.dump, node.body)] == [*map(ast.dump, node.orelse)]:
                    yield Problem(node.test, f"both branches are equal: `{ast.unparse(node.test)}` has no effect")
