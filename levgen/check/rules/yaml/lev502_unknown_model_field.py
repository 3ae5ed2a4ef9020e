"""The `model` section has a key that the config class does not have.

Why: The run stops when it parses the configuration, after the machine was booked; or the key that was meant keeps its
default.

Bad:
```yaml config/example.yaml
data:
  tokenizer: data/tokenizer
  components:
    text:
      source: {type: url, train_urls: [data/train.jsonl]}
model: {type: example, hiden_dim: 32}
trainer: {num_train_steps: 10}
```

```python models/example.py
from dataclasses import dataclass

from haliax import Axis

from levgen.runtime import LmConfig


@LmConfig.register_subclass("example")
@dataclass(frozen=True)
class ExampleConfig(LmConfig):
    max_seq_len: int = 1024
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
```yaml config/example.yaml
data:
  tokenizer: data/tokenizer
  components:
    text:
      source: {type: url, train_urls: [data/train.jsonl]}
model: {type: example, hidden_dim: 32}
trainer: {num_train_steps: 10}
```

```python models/example.py
from dataclasses import dataclass

from haliax import Axis

from levgen.runtime import LmConfig


@LmConfig.register_subclass("example")
@dataclass(frozen=True)
class ExampleConfig(LmConfig):
    max_seq_len: int = 1024
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

Fix: Use a field of the config class; the nearest is named.
"""

from collections.abc import Iterator

from levgen.check.analysis.reads import READ_BY_BASE
from levgen.check.files.yaml_file import YamlFile
from levgen.check.rule import CannotCheckError, Problem, yaml_rule
from levgen.errors import did_you_mean


@yaml_rule
def check(file: YamlFile) -> Iterator[Problem]:
    config = file.model_class
    if config is None:
        raise CannotCheckError("no model file of the project registers the `model.type`")
    from levgen.training.levanter_keys import RENAMED

    unseen = config.unresolved_bases()
    if unseen:
        raise CannotCheckError(f"the source of {min(unseen)}, a base of {config.name}, was not found")
    fields = config.every_field_name() | READ_BY_BASE
    for entry in file.children("model"):
        if entry.name in fields or entry.name == "type" or f"model.{entry.name}" in RENAMED:
            continue
        hint = did_you_mean(entry.name, fields)
        yield Problem(entry.span, f"`{config.name}` has no field {entry.name!r}" + (f": {hint}" if hint else ""))
