"""An `assert` that checks what the user configured.

Why: `python -O` removes it, and the model then runs with a config that it cannot serve. Where it does fire, the user
sees a traceback instead of what was expected, what came and what to do.

Bad:
```python models/example.py
from dataclasses import dataclass

from haliax import Axis

from levgen.runtime import LmConfig


@LmConfig.register_subclass("example")
@dataclass(frozen=True)
class ExampleConfig(LmConfig):
    hidden_dim: int = 64
    num_heads: int = 4

    Embed = property(lambda self: Axis("embed", self.hidden_dim))

    def __post_init__(self):
        assert self.hidden_dim % self.num_heads == 0


def head_size(config: ExampleConfig) -> int:
    return config.hidden_dim // config.num_heads
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
    num_heads: int = 4

    Embed = property(lambda self: Axis("embed", self.hidden_dim))

    def __post_init__(self):
        if self.hidden_dim % self.num_heads:
            raise ValueError(f"num_heads={self.num_heads} must divide hidden_dim={self.hidden_dim}")


def head_size(config: ExampleConfig) -> int:
    return config.hidden_dim // config.num_heads
```

Fix: Raise ValueError with what was expected and what came. `assert x is not None` and `assert isinstance(...)` that
only inform a type checker are left alone in modules.
"""

import ast
from collections.abc import Iterator

from levgen.check.files.model_file import ModelFile
from levgen.check.files.names import called
from levgen.check.rule import Problem, model_rule


def _narrows_type(test: ast.expr) -> bool:
    """`x is not None` and `isinstance(x, T)`, which type checkers read."""
    if isinstance(test, ast.Compare):
        return isinstance(test.ops[0], ast.Is | ast.IsNot)
    return called(test) == "isinstance"


def _at_construction(model: ModelFile, node: ast.Assert) -> bool:
    """Whether it runs when the module is made, where the config decides, and not on every forward."""
    function = model.nodes.enclosing(node, ast.FunctionDef)
    return isinstance(function, ast.FunctionDef) and function.name in {"init", "__init__", "__post_init__"}


def _about_config(model: ModelFile, test: ast.expr) -> bool:
    names = {one.id for one in model.nodes.within(test, ast.Name)}
    attributes = {one.attr for one in model.nodes.within(test, ast.Attribute)}
    return "config" in names | attributes


@model_rule
def check(model: ModelFile) -> Iterator[Problem]:
    configs = {one.name for one in model.configs}
    for node in model.nodes.of(ast.Assert):
        around = model.class_of(node)
        if around is None:
            continue
        # In a config even a type is the user's: a YAML chose it. A message says that a person is to read it.
        in_config = around.name in configs and (node.msg is not None or not _narrows_type(node.test))
        in_module = around.name not in configs and _at_construction(model, node) and _about_config(model, node.test)
        if in_config or (in_module and not _narrows_type(node.test)):
            yield Problem(node, "`assert` for a user's error: raise ValueError with what was expected and what came")
