"""A Python loop runs the layers one after another.

Why: Each round is traced and compiled anew, so compile time grows with depth: 13 seconds at 32 layers where a scan
takes 4.5.

Bad:
```python models/example.py
import haliax.nn as hnn
from haliax import NamedArray
from haliax.state_dict import ModuleWithStateDictSerialization


class ExampleTransformer(ModuleWithStateDictSerialization):
    layers: list[hnn.Linear]

    def __call__(self, x: NamedArray) -> NamedArray:
        for layer in self.layers:
            x = layer(x)
        return x
```

Good:
```python models/example.py
import haliax.nn as hnn
from haliax import NamedArray
from haliax.nn.scan import Stacked
from haliax.state_dict import ModuleWithStateDictSerialization


class ExampleTransformer(ModuleWithStateDictSerialization):
    layers: Stacked[hnn.Linear]

    def __call__(self, x: NamedArray) -> NamedArray:
        return self.layers.fold(x)
```

Fix: Stack the layers (`Stacked.init`) and use `fold` or `scan`; what differs by layer goes in as an array over the
axis `layer`.
"""

import ast
import re
from collections.abc import Iterator

from levgen.check.files.model_file import ModelFile
from levgen.check.files.names import called, dotted, names_in_target
from levgen.check.rule import Problem, model_rule

_LAYERS = re.compile(r"(layers|blocks)(\.unstacked)?")
_COUNTS = re.compile(r"(num_layers|num_hidden_layers|Layers\.size|n_layer)")


# Decoding a token at a time is faster unrolled, and it is compiled once.
_NO_FORWARD = ("state_dict", "decode", "cache")
_WHY = "compile time grows with depth; stack them and fold"


def _iterates_layers(node: ast.expr) -> bool:
    """`self.layers`, `self.layers.unstacked()`, any of these under `enumerate` or `zip`, `range(config.num_layers)`."""
    if isinstance(node, ast.Call):
        name = called(node)
        if name in {"enumerate", "zip", "reversed", "list"}:
            return any(map(_iterates_layers, node.args))
        if name == "range":
            return any(_COUNTS.search(ast.unparse(one)) for one in node.args)
        return name.endswith(".unstacked")
    return isinstance(node, ast.Attribute) and _LAYERS.fullmatch(node.attr) is not None


def _runs(model: ModelFile, loop: ast.For) -> bool:
    """Whether a round calls something of the loop: `layer(x)`, `layer.decode(x)`, `self.layers[i](x)`."""
    bound = set(names_in_target(loop.target))
    for statement in loop.body:
        for call in model.nodes.within(statement, ast.Call):
            names = {one.id for one in model.nodes.within(call.func, ast.Name)}
            reads_data = isinstance(call.func, ast.Attribute) and call.func.attr in {"append", "items", "get", "update"}
            if bound & names and not reads_data:
                return True
    return False


def _makes_layers(model: ModelFile, node: ast.ListComp | ast.GeneratorExp, modules: set[str]) -> bool:
    """`[Layer.init(config, key=keys[i]) for i in range(config.num_layers)]`"""
    if not isinstance(node.elt, ast.Call) or not _iterates_layers(node.generators[0].iter):
        return False
    made = dotted(node.elt.func)
    return made.endswith(".init") and made.removesuffix(".init") in modules


@model_rule
def check(model: ModelFile) -> Iterator[Problem]:
    modules = {one.name for one in model.modules}
    if not modules:
        return
    for loop in model.nodes.of(ast.For):
        around = model.class_of(loop)
        function = model.nodes.enclosing(loop, ast.FunctionDef)
        if around is None or around.name not in modules or not isinstance(function, ast.FunctionDef):
            continue
        aside = any(part in function.name for part in _NO_FORWARD)
        if not aside and _iterates_layers(loop.iter) and _runs(model, loop):
            yield Problem(loop.iter, f"a Python loop over the layers: {_WHY}")
    made: list[ast.ListComp | ast.GeneratorExp] = [*model.nodes.of(ast.ListComp), *model.nodes.of(ast.GeneratorExp)]
    for node in made:
        if _makes_layers(model, node, modules):
            yield Problem(node, f"the layers are made one by one: {_WHY}")
