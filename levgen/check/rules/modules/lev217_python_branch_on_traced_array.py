"""A Python `if` or `while` decides by the values of an array.

Why: Under `jit` the value is not known yet: TracerBoolConversionError. Where it is traced once with a concrete value,
the branch taken then is taken for ever.

Bad:
```python models/example.py
from haliax import NamedArray
from haliax.state_dict import ModuleWithStateDictSerialization


class ExampleGate(ModuleWithStateDictSerialization):
    def __call__(self, x: NamedArray) -> NamedArray:
        if x > 0:
            return x
        return -x
```

Good:
```python models/example.py
import haliax as hax
from haliax import NamedArray
from haliax.state_dict import ModuleWithStateDictSerialization


class ExampleGate(ModuleWithStateDictSerialization):
    def __call__(self, x: NamedArray) -> NamedArray:
        return hax.where(x > 0, x, -x)
```

Fix: Use `hax.where`, or `jax.lax.cond`. `x is None` and questions about axes and dtypes are fine.
"""

import ast
from collections.abc import Iterator

from levgen.check.analysis.arrays import named_parameters
from levgen.check.files.model_file import ModelFile
from levgen.check.rule import Problem, model_rule

_ORDER = (ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Eq, ast.NotEq)
_REDUCTIONS = frozenset({"any", "all", "sum", "max", "min", "mean", "item"})


def _value_of(node: ast.expr, arrays: set[str]) -> bool:
    """`x`, `x.sum()`, `x.any().item()` of an array parameter."""
    while isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _REDUCTIONS:
        node = node.func.value
    return isinstance(node, ast.Name) and node.id in arrays


def _decides_by_value(test: ast.expr, arrays: set[str]) -> bool:
    if isinstance(test, ast.BoolOp):
        return any(_decides_by_value(one, arrays) for one in test.values)
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return _decides_by_value(test.operand, arrays)
    if isinstance(test, ast.Compare):
        sides = [test.left, *test.comparators]
        return all(isinstance(one, _ORDER) for one in test.ops) and any(_value_of(one, arrays) for one in sides)
    return _value_of(test, arrays)


@model_rule
def check(model: ModelFile) -> Iterator[Problem]:
    for module in model.modules:
        for method in module.methods.values():
            arrays = named_parameters(method)
            if not arrays:
                continue
            branches: list[ast.If | ast.While | ast.IfExp] = [
                *model.nodes.within(method, ast.If),
                *model.nodes.within(method, ast.While),
                *model.nodes.within(method, ast.IfExp),
            ]
            for node in branches:
                if _decides_by_value(node.test, arrays):
                    yield Problem(
                        node.test, f"`{ast.unparse(node.test)}` needs the value of a traced array: use `hax.where`"
                    )
