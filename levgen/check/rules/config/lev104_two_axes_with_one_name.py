"""Two axes of a config have one name and different sizes.

Why: Haliax tells axes apart by name. Where both meet, it refuses the operation, or contracts axes that are not the
same.

Bad:
```python models/example.py
from dataclasses import dataclass

from haliax import Axis

from levgen.runtime import LmConfig


@LmConfig.register_subclass("example")
@dataclass(frozen=True)
class ExampleConfig(LmConfig):
    hidden_dim: int = 64
    intermediate_dim: int = 256

    Embed = property(lambda self: Axis("embed", self.hidden_dim))
    Mlp = property(lambda self: Axis("embed", self.intermediate_dim))


def shapes(config: ExampleConfig) -> tuple[Axis, Axis]:
    return config.Embed, config.Mlp
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
    intermediate_dim: int = 256

    Embed = property(lambda self: Axis("embed", self.hidden_dim))
    Mlp = property(lambda self: Axis("mlp", self.intermediate_dim))


def shapes(config: ExampleConfig) -> tuple[Axis, Axis]:
    return config.Embed, config.Mlp
```

Fix: Give each axis its own name, or alias one where both are needed: `self.Pos.alias("key_position")`.
"""

import ast
from collections.abc import Iterator

from levgen.check.analysis.reads import attributes_read
from levgen.check.files.classes import ClassInfo
from levgen.check.files.model_file import ModelFile
from levgen.check.files.names import constant, keyword, last_name
from levgen.check.rule import Problem, model_rule


def _axes(model: ModelFile, config: ClassInfo) -> Iterator[tuple[str, str, ast.Call, str]]:
    """Axis name, size, call and property of each property that is one `Axis(...)`."""
    members: dict[str, ast.AST] = {**config.assigned, **config.methods}
    for name_of_member, member in members.items():
        calls = [call for call in model.nodes.within(member, ast.Call) if last_name(call.func) == "Axis"]
        if len(calls) != 1:
            continue
        call = calls[0]
        name = constant(keyword(call, "name") or (call.args[0] if call.args else None))
        size = keyword(call, "size") or (call.args[1] if len(call.args) > 1 else None)
        if isinstance(name, str) and size is not None:
            yield name, ast.unparse(size), call, name_of_member


def _meet(model: ModelFile, one: str, other: str) -> bool:
    """Whether one class or function uses both: an encoder's and a decoder's axes may share names and never meet."""
    configs = [config.node for config in model.configs]
    return any(
        {one, other} <= attributes_read(model, statement) for statement in model.tree.body if statement not in configs
    )


@model_rule
def check(model: ModelFile) -> Iterator[Problem]:
    for config in model.configs:
        first: dict[str, tuple[str, int, str]] = {}
        for name, size, call, member in sorted(_axes(model, config), key=lambda one: one[2].lineno):
            known = first.setdefault(name, (size, call.lineno, member))
            if known[0] != size and _meet(model, member, known[2]):
                yield Problem(
                    call,
                    f"axis {name!r} has size `{size}` here and `{known[0]}` in line {known[1]}: rename one of them",
                )
