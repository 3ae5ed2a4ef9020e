"""An attribute of the Hugging Face config is read with a default.

Why: Where the attribute was renamed or moved, as `rope_theta` was in transformers 5, the default is taken in silence
and the model computes something else. On configs whose layers differ, a global read raises and the default hides that
too.

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
        return cls(hidden_dim=getattr(hf_config, "hidden_size", 4096))
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

Fix: Read the attribute and let a missing one raise; a default that the reference has belongs to its config class.
"""

import ast
from collections.abc import Iterator

from levgen.check.files.model_file import ModelFile
from levgen.check.files.names import called, constant
from levgen.check.rule import Problem, model_rule

_ARGUMENTS = 3


@model_rule
def check(model: ModelFile) -> Iterator[Problem]:
    for config in model.configs:
        method = config.methods.get("from_hf_config")
        if method is None or len(method.args.args) < 2:
            continue
        hf_config = method.args.args[1].arg
        for call in model.nodes.within(method, ast.Call):
            if called(call) != "getattr" or len(call.args) != _ARGUMENTS:
                continue
            if not isinstance(call.args[0], ast.Name) or call.args[0].id != hf_config:
                continue
            # A None that stands for 'absent' and is looked at afterwards is no silent value.
            if constant(call.args[2]) is None and isinstance(call.args[2], ast.Constant):
                continue
            name, default = constant(call.args[1]), ast.unparse(call.args[2])
            yield Problem(call, f"HF {name!r} falls back to `{default}` in silence where it is missing")
