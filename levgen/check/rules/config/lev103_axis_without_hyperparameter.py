"""An axis whose size is a number in the source.

Why: The model can be built in that size only. A config with another width loads, and then a shape does not fit, or an
axis is silently too short.

Bad:
```python models/example.py
from dataclasses import dataclass

from haliax import Axis

from levgen.runtime import LmConfig


@LmConfig.register_subclass("example")
@dataclass(frozen=True)
class ExampleConfig(LmConfig):
    Embed = property(lambda self: Axis("embed", 4096))
```

Good:
```python models/example.py
from dataclasses import dataclass

from haliax import Axis

from levgen.runtime import LmConfig


@LmConfig.register_subclass("example")
@dataclass(frozen=True)
class ExampleConfig(LmConfig):
    hidden_dim: int = 4096

    Embed = property(lambda self: Axis("embed", self.hidden_dim))
```

Fix: Make the size a field of the config. Sizes 1, 2 and 3 are left alone: a gate and an up projection are two by
nature, query, key and value three.
"""

from collections.abc import Iterator

from levgen.check.files.model_file import ModelFile
from levgen.check.files.names import constant, keyword
from levgen.check.rule import Problem, model_rule

_BY_NATURE = 3


@model_rule
def check(model: ModelFile) -> Iterator[Problem]:
    for call in model.calls_of(("haliax.Axis", "haliax.axis.Axis")):
        size = keyword(call, "size") or (call.args[1] if len(call.args) > 1 else None)
        value = constant(size)
        if isinstance(value, int) and value > _BY_NATURE and model.class_of(call) is not None:
            name = constant(keyword(call, "name") or (call.args[0] if call.args else None))
            yield Problem(size or call, f"axis {name!r} has the fixed size {value}: make it a field of the config")
