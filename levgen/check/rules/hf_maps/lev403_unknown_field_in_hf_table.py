"""The HfFields table names a field that the config does not have.

Why: The table is read when a checkpoint is loaded, so the mistake shows only then; the field that was meant is not
mapped.

Bad:
```python models/example.py
from dataclasses import dataclass

from haliax import Axis

from levgen.runtime import HfFields, LmConfig


@LmConfig.register_subclass("example")
@dataclass(frozen=True)
class ExampleConfig(LmConfig):
    hidden_dim: int = 64

    Embed = property(lambda self: Axis("embed", self.hidden_dim))
    hf_fields = HfFields("LlamaConfig", {"hidden_dim": "hidden_size", "hiden_act": "hidden_act"})
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

    Embed = property(lambda self: Axis("embed", self.hidden_dim))
    hf_fields = HfFields("LlamaConfig", {"hidden_dim": "hidden_size"})
```

Fix: Correct the name, or remove the line.
"""

from collections.abc import Iterator

from levgen.check.analysis.hf_maps import table
from levgen.check.analysis.reads import READ_BY_BASE
from levgen.check.files.model_file import ModelFile
from levgen.check.rule import Problem, model_rule
from levgen.errors import did_you_mean


@model_rule
def check(model: ModelFile) -> Iterator[Problem]:
    for config in model.configs:
        mapping = table(config)
        if mapping is None:
            continue
        for key, _ in mapping.fields():
            if str(key.value) in config.all_fields or config.unresolved_bases():
                continue
            fields = config.every_field_name() | READ_BY_BASE
            if str(key.value) not in fields:
                hint = did_you_mean(str(key.value), fields)
                yield Problem(key, f"`{config.name}` has no field {key.value!r}" + (f": {hint}" if hint else ""))
