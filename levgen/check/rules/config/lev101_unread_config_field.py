"""A field of a config that nothing reads.

Why: A value in a YAML or in a checkpoint's config.json is taken, stored and has no effect: a sliding window that is
set and never applied makes another model than the one asked for, and nothing says so. Moving a field to and from the
Hugging Face config, checking it, or naming it in a property that nobody uses is not reading it.

Bad:
```python models/example.py
from dataclasses import dataclass

from haliax import Axis

from levgen.runtime import LmConfig


@LmConfig.register_subclass("example")
@dataclass(frozen=True)
class ExampleConfig(LmConfig):
    hidden_dim: int = 64
    sliding_window: int = 128

    Embed = property(lambda self: Axis("embed", self.hidden_dim))
```

Good:
```python models/example.py
from dataclasses import dataclass

from haliax import Axis

from levgen.runtime import AttentionMask, LmConfig


@LmConfig.register_subclass("example")
@dataclass(frozen=True)
class ExampleConfig(LmConfig):
    hidden_dim: int = 64
    sliding_window: int = 128

    Embed = property(lambda self: Axis("embed", self.hidden_dim))


def mask(config: ExampleConfig) -> AttentionMask:
    return AttentionMask.causal(sliding_window=config.sliding_window)
```

Fix: Use the field where the reference uses it, or remove it; if the HF config has it, list it as ignored with the
reason.
"""

from collections.abc import Iterator

from levgen.check.analysis.hf_maps import hf_methods, table
from levgen.check.analysis.reads import attributes_read, unread_fields
from levgen.check.files.classes import ClassInfo
from levgen.check.files.model_file import ModelFile
from levgen.check.rule import Problem, model_rule


def _only_mapped(config: ClassInfo, field: str) -> bool:
    mapping = table(config)
    in_table = mapping is not None and any(key.value == field for key, _ in mapping.fields())
    return in_table or any(field in attributes_read(config.file, method) for method in hf_methods(config))


@model_rule
def check(model: ModelFile) -> Iterator[Problem]:
    for config, field in unread_fields(model):
        but = ": it goes to and from the HF config and has no effect" if _only_mapped(config, field.name) else ""
        yield Problem(field.node, f"nothing reads `{config.name}.{field.name}`{but}")
