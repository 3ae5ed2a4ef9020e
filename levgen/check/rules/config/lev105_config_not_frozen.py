"""A config that is a dataclass but not a frozen one.

Why: Modules hold their config as a static field, which JAX hashes and compares to find a compiled function. A
dataclass that is not frozen has no hash, so the first `jit` fails; one that is changed after compilation goes
unnoticed.

Bad:
```python models/example.py
from dataclasses import dataclass

from haliax import Axis

from levgen.runtime import LmConfig


@LmConfig.register_subclass("example")
@dataclass
class ExampleConfig(LmConfig):
    hidden_dim: int = 64

    Embed = property(lambda self: Axis("embed", self.hidden_dim))
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

    Embed = property(lambda self: Axis("embed", self.hidden_dim))
```

Fix: Write `@dataclass(frozen=True)`; make changed copies with `dataclasses.replace`.
"""

import ast
from collections.abc import Iterator

from levgen.check.files.model_file import ModelFile
from levgen.check.files.names import constant, keyword
from levgen.check.rule import Problem, model_rule


@model_rule
def check(model: ModelFile) -> Iterator[Problem]:
    for config in model.configs:
        decorator = config.dataclass_decorator
        if decorator is None or config.registered_as is None:
            continue
        hashable = isinstance(decorator, ast.Call) and any(
            constant(keyword(decorator, name)) is True for name in ("frozen", "unsafe_hash")
        )
        if not hashable:
            yield Problem(decorator, f"`{config.name}` is not frozen: write `@dataclass(frozen=True)`")
