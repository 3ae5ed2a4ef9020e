"""A config field has the name of an axis, so it replaces the axis.

Why: `Embed: int = 64` hides the inherited axis property: code that asks the config for its axis gets a number.

Bad:
```python models/example.py
from dataclasses import dataclass

from levgen.runtime import LmConfig


@LmConfig.register_subclass("example")
@dataclass(frozen=True)
class ExampleConfig(LmConfig):
    Embed: int = 64
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

Fix: Give the size a lower-case name and make the axis a property of it.
"""

from collections.abc import Iterator

from levgen.check.files.model_file import ModelFile
from levgen.check.files.names import last_name
from levgen.check.rule import Problem, model_rule


@model_rule
def check(model: ModelFile) -> Iterator[Problem]:
    for config in model.configs:
        for field in config.fields.values():
            if field.name[:1].isupper() and last_name(field.annotation) in {"int", "float"}:
                yield Problem(field.node, f"`{config.name}.{field.name}` is a number with the name of an axis")
