"""Two config classes of the project are registered under one name.

Why: Which of them `type: llama` means depends on which file is imported first; importing both is an error.

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


@LmConfig.register_subclass("example")
@dataclass(frozen=True)
class OtherConfig(LmConfig):
    hidden_dim: int = 64

    Embed = property(lambda self: Axis("embed", self.hidden_dim))
```

```python tests/test_example.py
from models.example import ExampleConfig


def test_embed_is_as_wide_as_the_config_says():
    assert ExampleConfig(hidden_dim=8).Embed.size == 8
```

```toml pyproject.toml
[tool.levgen]
models = "models"
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


@LmConfig.register_subclass("other")
@dataclass(frozen=True)
class OtherConfig(LmConfig):
    hidden_dim: int = 64

    Embed = property(lambda self: Axis("embed", self.hidden_dim))
```

```python tests/test_example.py
from models.example import ExampleConfig


def test_embed_is_as_wide_as_the_config_says():
    assert ExampleConfig(hidden_dim=8).Embed.size == 8
```

```toml pyproject.toml
[tool.levgen]
models = "models"
```

Fix: Register each under a name of its own.
"""

from collections.abc import Iterator

from levgen.check.files.project import Project
from levgen.check.rule import Problem, Span, project_rule


@project_rule
def check(project: Project) -> Iterator[Problem]:
    first: dict[str, str] = {}
    for model in project.model_files:
        for config in model.configs:
            name = config.registered_as
            if name is None:
                continue
            here = f"{config.name} ({model.path.name}:{config.node.lineno})"
            if name in first:
                yield Problem(Span(1, 0, 1, 1), f"{name!r} is registered by {first[name]} and by {here}")
            first.setdefault(name, here)
