"""A named array is indexed by position.

Why: Which axis `x[:, 0]` takes depends on an order that haliax does not promise: another layout, or a batch axis
more, and it takes something else without an error.

Bad:
```python models/example.py
from haliax import NamedArray
from haliax.state_dict import ModuleWithStateDictSerialization


class ExamplePooler(ModuleWithStateDictSerialization):
    def __call__(self, x: NamedArray) -> NamedArray:
        return x[:, 0]
```

Good:
```python models/example.py
from haliax import NamedArray
from haliax.state_dict import ModuleWithStateDictSerialization


class ExamplePooler(ModuleWithStateDictSerialization):
    def __call__(self, x: NamedArray) -> NamedArray:
        return x["position", 0]
```

Fix: Name the axis: `x["position", 0]`, `x["embed", hax.ds(0, n)]`.
"""

import ast
from collections.abc import Iterator

from levgen.check.analysis.arrays import named_arrays
from levgen.check.files.model_file import ModelFile
from levgen.check.files.names import constant
from levgen.check.rule import Problem, model_rule


def _positional(index: ast.expr) -> bool:
    """Whether an index counts axes: a slice, a number, or a tuple whose first item is one of these, `...` or None."""
    if isinstance(index, ast.Tuple):
        first = index.elts[0] if index.elts else None
        return isinstance(first, ast.Slice) or (isinstance(first, ast.Constant) and not isinstance(first.value, str))
    return isinstance(index, ast.Slice) or isinstance(constant(index), int)


@model_rule
def check(model: ModelFile) -> Iterator[Problem]:
    for function in model.functions:
        subscripts = model.nodes.within(function, ast.Subscript)
        if not any(_positional(one.slice) for one in subscripts):
            continue
        arrays = named_arrays(model, function)
        for node in subscripts:
            indexed = node.value
            if isinstance(indexed, ast.Attribute) and indexed.attr == "array":
                indexed = indexed.value  # its raw array is indexed by counting in any case
            of_array = isinstance(indexed, ast.Name) and indexed.id in arrays
            here = model.nodes.enclosing(node, ast.FunctionDef, ast.Lambda) is function
            if of_array and here and _positional(node.slice):
                yield Problem(node, f"`{ast.unparse(node)}` counts axes: name the axis")
