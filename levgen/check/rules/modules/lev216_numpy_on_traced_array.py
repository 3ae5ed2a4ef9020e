"""numpy computes on an array of the forward pass.

Why: Under `jit` the array is traced and numpy cannot read it: TracerArrayConversionError. Un-jitted it works, so a
test that does not compile passes.

Bad:
```python models/example.py
import numpy as np
from haliax import NamedArray
from haliax.state_dict import ModuleWithStateDictSerialization


class ExampleGate(ModuleWithStateDictSerialization):
    def __call__(self, x: NamedArray):
        return np.tanh(x)
```

Good:
```python models/example.py
import haliax as hax
from haliax import NamedArray
from haliax.state_dict import ModuleWithStateDictSerialization


class ExampleGate(ModuleWithStateDictSerialization):
    def __call__(self, x: NamedArray):
        return hax.tanh(x)
```

Fix: Use haliax's or jax.numpy's function. numpy on numbers of the config is fine.
"""

import ast
from collections.abc import Iterator

from levgen.check.analysis.arrays import named_parameters
from levgen.check.files.model_file import ModelFile
from levgen.check.rule import Problem, model_rule


def _is(node: ast.expr, names: set[str]) -> bool:
    if isinstance(node, ast.Attribute) and node.attr == "array":
        node = node.value
    return isinstance(node, ast.Name) and node.id in names


@model_rule
def check(model: ModelFile) -> Iterator[Problem]:
    if "numpy" not in model.imports.values():
        return
    for module in model.modules:
        for method in module.methods.values():
            arrays = named_parameters(method)
            if not arrays or "state_dict" in method.name:
                continue
            for call in model.nodes.within(method, ast.Call):
                name = model.qualified(call.func)
                if name.startswith("numpy.") and any(_is(one, arrays) for one in call.args):
                    yield Problem(call, f"`{ast.unparse(call)}` cannot read a traced array: use haliax or jax.numpy")
