"""A softmax over scores of whatever precision the inputs have.

Why: transformers takes its softmax in float32. In bfloat16 the exponentials have 8 bits: probabilities of long rows
sum to 0.98 or 1.02, and a router picks other experts than the reference.

Bad:
```python models/example.py
import haliax.nn as hnn
from haliax import NamedArray
from haliax.state_dict import ModuleWithStateDictSerialization


class ExampleRouter(ModuleWithStateDictSerialization):
    gate: hnn.Linear

    def __call__(self, x: NamedArray) -> NamedArray:
        return hnn.softmax(self.gate(x), axis="experts")
```

Good:
```python models/example.py
import haliax.nn as hnn
import jax.numpy as jnp
from haliax import NamedArray
from haliax.state_dict import ModuleWithStateDictSerialization


class ExampleRouter(ModuleWithStateDictSerialization):
    gate: hnn.Linear

    def __call__(self, x: NamedArray) -> NamedArray:
        return hnn.softmax(self.gate(x).astype(jnp.float32), axis="experts").astype(x.dtype)
```

Fix: Cast the scores to float32 before the softmax and the result back.
"""

import ast
from collections.abc import Iterator

from levgen.check.files.model_file import ModelFile
from levgen.check.rule import Problem, model_rule

_SOFTMAX = frozenset({"haliax.nn.softmax", "jax.nn.softmax", "haliax.nn.log_softmax", "jax.nn.log_softmax"})


def _mentions_fp32(model: ModelFile, function: ast.AST) -> bool:
    words = {one.attr for one in model.nodes.within(function, ast.Attribute)}
    words |= {one.id for one in model.nodes.within(function, ast.Name)}
    words |= {str(one.value) for one in model.nodes.within(function, ast.Constant) if isinstance(one.value, str)}
    return any(word == "float32" or "upcast" in word or "fp32" in word for word in words)


@model_rule
def check(model: ModelFile) -> Iterator[Problem]:
    for call in model.calls_of(_SOFTMAX):
        method = model.nodes.enclosing(call, ast.FunctionDef)
        while method is not None and not isinstance(model.nodes.parent(method), ast.ClassDef | ast.Module):
            method = model.nodes.enclosing(method, ast.FunctionDef)
        if method is not None and not _mentions_fp32(model, method):
            yield Problem(call, "softmax in the inputs' precision: cast the scores to float32 first")
