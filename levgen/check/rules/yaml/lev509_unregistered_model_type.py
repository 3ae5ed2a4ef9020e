"""The `model.type` is no model of this project.

Why: The run stops when it parses the configuration.

Bad:
```yaml config/example.yaml
data:
  tokenizer: data/tokenizer
  components:
    text:
      source: {type: url, train_urls: [data/train.jsonl]}
model: {type: exampel}
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
model: {type: example}
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

Fix: Use the name in `@LmConfig.register_subclass(...)`; the nearest is named.
"""

from collections.abc import Iterator

from levgen.check.files.yaml_file import YamlFile
from levgen.check.rule import CannotCheckError, Problem, yaml_rule
from levgen.errors import did_you_mean


@yaml_rule
def check(file: YamlFile) -> Iterator[Problem]:
    entry = file.entry("model", "type")
    names = {config.registered_as for model in file.project.model_files for config in model.configs} - {None}
    known = [name for name in names if name is not None]
    if not known:
        raise CannotCheckError("the project has no model files")
    if entry is not None and entry.value not in known:
        hint = did_you_mean(str(entry.value), known) or f"registered: {', '.join(sorted(known))}"
        yield Problem(entry.value_span, f"no model of this project is registered as {entry.value!r}: {hint}")
