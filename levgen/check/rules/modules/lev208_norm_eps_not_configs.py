"""A norm's eps is a number in the source, or haliax's default, though the config has a field for it.

Why: The checkpoint's eps is read and not used. 1e-5 for 1e-6 changes every activation a little: too little to see in
a sample, enough to fail parity and to drift in training.

Bad:
```python models/example.py
from dataclasses import dataclass

import haliax.nn as hnn
from haliax import Axis
from haliax.state_dict import ModuleWithStateDictSerialization

from levgen.runtime import LmConfig


@LmConfig.register_subclass("example")
@dataclass(frozen=True)
class ExampleConfig(LmConfig):
    hidden_dim: int = 64
    norm_eps: float = 1e-6

    Embed = property(lambda self: Axis("embed", self.hidden_dim))


class ExampleModel(ModuleWithStateDictSerialization):
    norm: hnn.LayerNorm
    final_norm: hnn.LayerNorm

    @staticmethod
    def init(config: ExampleConfig):
        norm = hnn.LayerNorm.init(config.Embed, eps=config.norm_eps)
        return ExampleModel(norm, hnn.LayerNorm.init(config.Embed, eps=1e-5))

    def __call__(self, x):
        return self.final_norm(self.norm(x))
```

Good:
```python models/example.py
from dataclasses import dataclass

import haliax.nn as hnn
from haliax import Axis
from haliax.state_dict import ModuleWithStateDictSerialization

from levgen.runtime import LmConfig


@LmConfig.register_subclass("example")
@dataclass(frozen=True)
class ExampleConfig(LmConfig):
    hidden_dim: int = 64
    norm_eps: float = 1e-6

    Embed = property(lambda self: Axis("embed", self.hidden_dim))


class ExampleModel(ModuleWithStateDictSerialization):
    norm: hnn.LayerNorm
    final_norm: hnn.LayerNorm

    @staticmethod
    def init(config: ExampleConfig):
        norm = hnn.LayerNorm.init(config.Embed, eps=config.norm_eps)
        return ExampleModel(norm, hnn.LayerNorm.init(config.Embed, eps=config.norm_eps))

    def __call__(self, x):
        return self.final_norm(self.norm(x))
```

Fix: Pass `eps=config.norm_eps`.
"""

import ast
import re
from collections.abc import Iterator

from levgen.check.files.model_file import ModelFile
from levgen.check.files.names import has_spread, keyword
from levgen.check.rule import Problem, model_rule

_EPS_FIELD = re.compile(r"(.*norm.*_)?eps(ilon)?")
_NORM = re.compile(r"(?i).*(rms|layer)_?norm\.init")


@model_rule
def check(model: ModelFile) -> Iterator[Problem]:
    eps_fields = [name for config in model.configs for name in config.all_fields if _EPS_FIELD.fullmatch(name)]
    if not eps_fields:
        return
    for call in model.calls_of(name for name in model.calls if _NORM.fullmatch(name)):
        if has_spread(call):
            continue
        eps = keyword(call, "eps") or (call.args[1] if len(call.args) > 1 else None)
        if eps is None or isinstance(eps, ast.Constant):
            what = f"eps {ast.unparse(eps)}" if eps is not None else "the default eps"
            yield Problem(eps or call, f"{what} where the config has `{eps_fields[0]}`")
