"""An HF field stands twice in an HfFields table.

Why: Saving writes one of the two and loses the other; loading gives both fields the same value. A name that is mapped
and also ignored or fixed is handled in whichever way is looked at first.

Bad:
```python models/example.py
from dataclasses import dataclass

from haliax import Axis

from levgen.runtime import HfFields, LmConfig


@LmConfig.register_subclass("example")
@dataclass(frozen=True)
class ExampleConfig(LmConfig):
    hidden_dim: int = 64
    head_dim: int = 16

    Embed = property(lambda self: Axis("embed", self.hidden_dim))
    hf_fields = HfFields("LlamaConfig", {"hidden_dim": "hidden_size", "head_dim": "hidden_size"})


def head_size(config: ExampleConfig) -> int:
    return config.head_dim
```

Good:
```python models/example.py
from dataclasses import dataclass

from haliax import Axis

from levgen.runtime import HfFields, LmConfig


@LmConfig.register_subclass("example")
@dataclass(frozen=True)
class ExampleConfig(LmConfig):
    hidden_dim: int = 64
    head_dim: int = 16

    Embed = property(lambda self: Axis("embed", self.hidden_dim))
    hf_fields = HfFields("LlamaConfig", {"hidden_dim": "hidden_size", "head_dim": "head_dim"})


def head_size(config: ExampleConfig) -> int:
    return config.head_dim
```

Fix: Map each HF field once.
"""

import ast
from collections.abc import Iterator

from levgen.check.analysis.hf_maps import table
from levgen.check.files.model_file import ModelFile
from levgen.check.rule import Problem, model_rule


@model_rule
def check(model: ModelFile) -> Iterator[Problem]:
    for config in model.configs:
        mapping = table(config)
        if mapping is None:
            continue
        places: list[tuple[str, ast.Constant, str]] = [
            (name, key, f"mapped to {key.value!r}") for name, key in mapping.hf_names()
        ]
        for kind in ("fixed", "ignored"):
            places += [(str(key.value), key, kind) for key, _ in mapping.other(kind)]
        first: dict[str, str] = {}
        ours: set[object] = set()
        for name, key, how in places:
            if name in first:
                yield Problem(key, f"HF {name!r} is {how}, and also {first[name]}")
            first.setdefault(name, how)
        for key, _ in mapping.fields():
            if key.value in ours:
                yield Problem(key, f"{key.value!r} stands twice in the table: only the last counts")
            ours.add(key.value)
