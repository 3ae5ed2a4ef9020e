"""A mask value that overflows or vanishes in half precision.

Why: -1e9 is beyond float16, where it becomes -inf: a row that is masked as a whole gives NaN, and so does the loss.
`finfo(float32).min` added to a negative score overflows even in float32.

Bad:
```python models/example.py
import haliax as hax
from haliax import NamedArray
from haliax.state_dict import ModuleWithStateDictSerialization


class ExampleAttention(ModuleWithStateDictSerialization):
    def __call__(self, scores: NamedArray, mask: NamedArray) -> NamedArray:
        return hax.where(mask, scores, -1e9)
```

Good:
```python models/example.py
import haliax as hax
import jax.numpy as jnp
from haliax import NamedArray
from haliax.state_dict import ModuleWithStateDictSerialization


class ExampleAttention(ModuleWithStateDictSerialization):
    def __call__(self, scores: NamedArray, mask: NamedArray) -> NamedArray:
        return hax.where(mask, scores, jnp.finfo(scores.dtype).min)
```

Fix: Select (`where`) `jnp.finfo(scores.dtype).min` of the scores' own dtype, or call `dot_product_attention`, which
masks.
"""

import ast
from collections.abc import Iterator

from levgen.check.files.model_file import ModelFile
from levgen.check.files.names import called
from levgen.check.rule import Problem, model_rule

_FP16_MAX = 65504.0
_FIXED = frozenset({"jax.numpy.float32", "numpy.float32"})


def _negative(model: ModelFile, number: ast.Constant) -> ast.expr | None:
    """The expression that makes a number a mask value: `-1e9`, or `x - y * 1e9`."""
    node: ast.AST = number
    around = model.nodes.parent(node)
    if isinstance(around, ast.UnaryOp) and isinstance(around.op, ast.USub):
        return around
    while isinstance(around, ast.BinOp) and isinstance(around.op, ast.Mult):
        node, around = around, model.nodes.parent(around)
    subtracted = isinstance(around, ast.BinOp) and isinstance(around.op, ast.Sub) and around.right is node
    return node if subtracted and isinstance(node, ast.expr) else None


@model_rule
def check(model: ModelFile) -> Iterator[Problem]:
    for number in model.nodes.of(ast.Constant):
        if not isinstance(number.value, float) or number.value < _FP16_MAX or number.value == float("inf"):
            continue
        node = _negative(model, number)
        if node is not None and model.nodes.enclosing(node, ast.FunctionDef) is not None:
            yield Problem(node, f"`{ast.unparse(node)}` is -inf in float16: use `jnp.finfo(scores.dtype).min`")
    for attribute in model.nodes.of(ast.Attribute):
        call = attribute.value
        if (
            attribute.attr != "min"
            or not called(call).endswith("finfo")
            or not isinstance(call, ast.Call)
            or not call.args
        ):
            continue
        function = model.nodes.enclosing(attribute, ast.FunctionDef)
        if function is None or model.qualified(call.args[0]) not in _FIXED:
            continue
        # Scores that the function itself casts to float32 are right to use its smallest value.
        casts = any(
            one.args and model.qualified(one.args[0]) in _FIXED
            for one in model.nodes.within(function, ast.Call)
            if called(one).endswith("astype")
        )
        if not casts:
            yield Problem(attribute, "the smallest float32 is -inf in float16: take finfo of the scores' dtype")
