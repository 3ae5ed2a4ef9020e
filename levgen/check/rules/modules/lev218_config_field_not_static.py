"""A module holds its config, or a name, as if it were a parameter.

Why: What is not static is a leaf of the module's tree: `jax.jit`, `jax.grad` and checkpoints meet an object that is
no array and fail, or it is traced, and then nothing may depend on it.

Bad:
```python models/example.py
import haliax.nn as hnn
from haliax import NamedArray
from haliax.state_dict import ModuleWithStateDictSerialization

from example_config import ExampleConfig


class ExampleMlp(ModuleWithStateDictSerialization):
    up_proj: hnn.Linear
    config: ExampleConfig

    def __call__(self, x: NamedArray) -> NamedArray:
        return self.up_proj(x) * self.config.scale
```

Good:
```python models/example.py
import equinox as eqx
import haliax.nn as hnn
from haliax import NamedArray
from haliax.state_dict import ModuleWithStateDictSerialization

from example_config import ExampleConfig


class ExampleMlp(ModuleWithStateDictSerialization):
    up_proj: hnn.Linear
    config: ExampleConfig = eqx.field(static=True)

    def __call__(self, x: NamedArray) -> NamedArray:
        return self.up_proj(x) * self.config.scale
```

Fix: `config: ExampleConfig = eqx.field(static=True)`.
"""

from collections.abc import Iterator

from levgen.check.files.model_file import ModelFile
from levgen.check.files.names import last_name
from levgen.check.rule import Problem, model_rule


@model_rule
def check(model: ModelFile) -> Iterator[Problem]:
    for module in model.modules:
        for field in module.fields.values():
            kind = last_name(field.annotation)
            static = field.static or "static" in last_name(getattr(field.default, "func", None))
            if (kind.endswith("Config") or kind == "str") and not static:
                yield Problem(field.node, f"`{module.name}.{field.name}` is no array: `eqx.field(static=True)`")
