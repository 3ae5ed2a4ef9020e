"""A hyperparameter without a type, which a dataclass does not take for a field.

Why: `hidden_dim = 64` in a dataclass is a class attribute: no YAML and no `replace` can set it, and every model has
64.

Bad:
```python models/example.py
from dataclasses import dataclass

from haliax import Axis

from levgen.runtime import LmConfig


@LmConfig.register_subclass("example")
@dataclass(frozen=True)
class ExampleConfig(LmConfig):
    hidden_dim = 64

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

Fix: Write the type: `hidden_dim: int = 64`.
"""

import ast
from collections.abc import Iterator

from levgen.check.files.model_file import ModelFile
from levgen.check.files.names import constant
from levgen.check.rule import Problem, model_rule


@model_rule
def check(model: ModelFile) -> Iterator[Problem]:
    for config in model.configs:
        if config.dataclass_decorator is None:
            continue
        for item in config.node.body:
            if not isinstance(item, ast.Assign) or not isinstance(item.targets[0], ast.Name):
                continue
            name, value = item.targets[0].id, constant(item.value)
            inherited = name in config.all_fields
            if name.islower() and not name.startswith("_") and isinstance(value, int | float | str) and not inherited:
                kind = type(value).__name__
                yield Problem(
                    item, f"`{config.name}.{name}` has no type and is no field: write `{name}: {kind} = {value!r}`"
                )
