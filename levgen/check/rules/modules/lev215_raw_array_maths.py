"""Arithmetic on `.array`, where the named array would do.

Why: The names are gone, so shapes that fit by accident broadcast: {batch, embed} against {embed, batch} of one size
adds up to nonsense that no axis check sees.

Bad:
```python models/example.py
from haliax import NamedArray
from haliax.state_dict import ModuleWithStateDictSerialization


class ExampleScale(ModuleWithStateDictSerialization):
    weight: NamedArray

    def __call__(self, x: NamedArray):
        return x.array * self.weight.array
```

Good:
```python models/example.py
from haliax import NamedArray
from haliax.state_dict import ModuleWithStateDictSerialization


class ExampleScale(ModuleWithStateDictSerialization):
    weight: NamedArray

    def __call__(self, x: NamedArray):
        return x * self.weight
```

Fix: Compute with the named arrays and `hax` functions; where a raw kernel is needed, wrap its result at once with
`hax.named`.
"""

import ast
from collections.abc import Iterator

from levgen.check.files.model_file import ModelFile
from levgen.check.rule import Problem, model_rule

# What haliax has too, by jax.numpy's name.
_IN_HALIAX = frozenset(
    f"jax.numpy.{name}"
    for name in ("dot", "matmul", "exp", "log", "sqrt", "sum", "mean", "max", "min", "tanh", "where", "concatenate")
) | {"jax.nn.softmax", "jax.nn.silu", "jax.nn.gelu", "jax.nn.relu", "jax.nn.sigmoid"}
_NO_FORWARD = ("state_dict", "export", "resize")


def _raw(node: ast.expr) -> bool:
    """`x.array` of something that is a name or a chain of names."""
    return isinstance(node, ast.Attribute) and node.attr == "array"


@model_rule
def check(model: ModelFile) -> Iterator[Problem]:
    modules = {one.name for one in model.modules}

    def in_forward(node: ast.AST) -> bool:
        around, function = model.class_of(node), model.nodes.enclosing(node, ast.FunctionDef)
        named = function.name if isinstance(function, ast.FunctionDef) else ""
        return around is not None and around.name in modules and not any(part in named for part in _NO_FORWARD)

    for node in model.nodes.of(ast.BinOp):
        if (_raw(node.left) or _raw(node.right)) and in_forward(node):
            yield Problem(node, f"`{ast.unparse(node)}` loses the names: compute with the named arrays")
    for call in model.calls_of(_IN_HALIAX):
        if any(map(_raw, call.args)) and in_forward(call):
            yield Problem(call, f"`{ast.unparse(call)}` loses the names: haliax has the same function for named arrays")
