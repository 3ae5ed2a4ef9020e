"""`init` takes a key and does nothing with it.

Why: The parameters that the caller believes to be random are constant, or drawn from another key.

Bad:
```python models/example.py
import haliax as hax
from haliax import NamedArray
from haliax.state_dict import ModuleWithStateDictSerialization


class ExampleModel(ModuleWithStateDictSerialization):
    weight: NamedArray

    @staticmethod
    def init(Embed, *, key):
        return ExampleModel(hax.zeros(Embed))

    def __call__(self, x):
        return x * self.weight
```

Good:
```python models/example.py
import haliax as hax
from haliax import NamedArray
from haliax.state_dict import ModuleWithStateDictSerialization


class ExampleModel(ModuleWithStateDictSerialization):
    weight: NamedArray

    @staticmethod
    def init(Embed, *, key):
        return ExampleModel(hax.random.normal(key, Embed))

    def __call__(self, x):
        return x * self.weight
```

Fix: Use the key, or leave it out of the arguments; `key=None` and `del key` say that it is taken for the sake of an
interface.
"""

import ast
from collections.abc import Iterator

from levgen.check.files.model_file import ModelFile
from levgen.check.rule import Problem, model_rule


def _is_stub(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Only a docstring, `...`, `pass` or `raise`."""
    return all(isinstance(one, ast.Expr | ast.Pass | ast.Raise) for one in function.body)


@model_rule
def check(model: ModelFile) -> Iterator[Problem]:
    for module in model.modules:
        init = module.methods.get("init")
        if init is None or _is_stub(init):
            continue
        for argument, default in zip(init.args.kwonlyargs, init.args.kw_defaults, strict=True):
            used = any(one.id == argument.arg for one in model.nodes.within(init, ast.Name))
            if argument.arg == "key" and default is None and not used:
                yield Problem(argument, f"`{module.name}.init` takes `key` and never uses it")
