"""An HF field is ignored and no reason is given.

Why: An ignored field that changes what the model computes is a wrong port that no error shows; the reason is what a
reviewer can check.

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
    hf_fields = HfFields("LlamaConfig", {"hidden_dim": "hidden_size"}, ignored={"pretraining_tp": ""})
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
    hf_fields = HfFields(
        "LlamaConfig", {"hidden_dim": "hidden_size"}, ignored={"pretraining_tp": "splits matmuls, not values"}
    )
```

Fix: Say why the field does not change the function, or map it.
"""

from collections.abc import Iterator

from levgen.check.analysis.hf_maps import table
from levgen.check.files.model_file import ModelFile
from levgen.check.files.names import constant
from levgen.check.rule import Problem, model_rule


@model_rule
def check(model: ModelFile) -> Iterator[Problem]:
    for config in model.configs:
        mapping = table(config)
        for key, reason in mapping.other("ignored") if mapping is not None else ():
            text = constant(reason)
            if isinstance(text, str) and not text.strip():
                yield Problem(key, f"HF {key.value!r} is ignored and no reason is given")
