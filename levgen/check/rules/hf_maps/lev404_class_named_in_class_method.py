"""A class method builds the class by its name instead of `cls`.

Why: A subclass inherits the method and gets an instance of the parent: `MistralConfig.from_hf_config` that returns a
`LlamaConfig` loses every field that the subclass adds.

Bad:
```python models/example.py
from dataclasses import dataclass

from haliax import Axis

from levgen.runtime import LmConfig


@LmConfig.register_subclass("example")
@dataclass(frozen=True)
class ExampleConfig(LmConfig):
    hidden_dim: int = 64

    Embed = property(lambda self: Axis("embed", self.hidden_dim))

    @classmethod
    def from_hf_config(cls, hf_config):
        return ExampleConfig(hidden_dim=hf_config.hidden_size)
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

    @classmethod
    def from_hf_config(cls, hf_config):
        return cls(hidden_dim=hf_config.hidden_size)
```

Fix: Write `cls(...)`; `--fix` does.
"""

import ast
from collections.abc import Iterator

from levgen.check.files.model_file import ModelFile
from levgen.check.files.names import dotted
from levgen.check.finding import Edit
from levgen.check.rule import Problem, model_rule


@model_rule
def check(model: ModelFile) -> Iterator[Problem]:
    for one in [*model.configs, *model.modules]:
        for method in one.methods.values():
            if not any(dotted(decorator) == "classmethod" for decorator in method.decorator_list):
                continue
            first = method.args.args[0].arg if method.args.args else "cls"
            for call in model.nodes.within(method, ast.Call):
                name = call.func
                if isinstance(name, ast.Name) and name.id == one.name:
                    end = name.col_offset + len(name.id.encode())
                    fix = (Edit(name.lineno, name.col_offset, name.lineno, end, first),)
                    yield Problem(
                        name, f"`{one.name}(...)` in a class method: a subclass gets the parent; use `{first}`", fix
                    )
