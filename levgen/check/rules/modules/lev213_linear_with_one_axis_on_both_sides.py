"""A Linear from an axis to the same axis.

Why: Haliax tells axes apart by name, so it cannot hold a matrix with one name on both sides: `init` raises.

Bad:
```python models/example.py
import haliax.nn as hnn
from haliax.state_dict import ModuleWithStateDictSerialization


class ExampleMlp(ModuleWithStateDictSerialization):
    dense: hnn.Linear

    @staticmethod
    def init(config, *, key):
        return ExampleMlp(hnn.Linear.init(config.Embed, config.Embed, key=key, use_bias=False))

    def __call__(self, x):
        return self.dense(x)
```

Good:
```python models/example.py
import haliax.nn as hnn
from haliax.state_dict import ModuleWithStateDictSerialization


class ExampleMlp(ModuleWithStateDictSerialization):
    dense: hnn.Linear

    @staticmethod
    def init(config, *, key):
        return ExampleMlp(hnn.Linear.init(config.Embed, config.Embed.alias("embed_out"), key=key, use_bias=False))

    def __call__(self, x):
        return self.dense(x).rename({"embed_out": "embed"})
```

Fix: Alias the output axis and rename it back after the call.
"""

import ast
from collections.abc import Iterator

from levgen.check.files.model_file import ModelFile
from levgen.check.files.names import keyword
from levgen.check.rule import Problem, model_rule

_LINEAR = frozenset({"haliax.nn.Linear.init", "levgen.runtime.Linear.init", "levgen.runtime.linear"})


@model_rule
def check(model: ModelFile) -> Iterator[Problem]:
    for call in model.calls_of(_LINEAR):
        ins = keyword(call, "In") or (call.args[0] if call.args else None)
        outs = keyword(call, "Out") or (call.args[1] if len(call.args) > 1 else None)
        if ins is not None and outs is not None and ast.dump(ins) == ast.dump(outs):
            yield Problem(outs, f"`{ast.unparse(outs)}` is on both sides of this Linear: alias one of them")
