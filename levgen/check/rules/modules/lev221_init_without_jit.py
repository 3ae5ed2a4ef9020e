"""A whole model is initialised outside `jit`.

Why: Every parameter is made by its own dispatch: 10 to 56 seconds where a jitted init takes the time of its
compilation, and on several devices each of them holds the whole model first.

Bad:
```python scripts/sample.py
import jax.random as jrandom

from models.example import ExampleLMHeadModel


def make(Vocab, config):
    return ExampleLMHeadModel.init(Vocab, config, key=jrandom.PRNGKey(0))
```

Good:
```python scripts/sample.py
import equinox as eqx
import jax.random as jrandom

from models.example import ExampleLMHeadModel


def make(Vocab, config):
    return eqx.filter_jit(ExampleLMHeadModel.init)(Vocab, config, key=jrandom.PRNGKey(0))
```

Fix: `eqx.filter_jit(Model.init)(...)`, `hax.named_jit`, or a function under such a decorator. `eval_shape` is fine
too.
"""

import ast
from collections.abc import Iterator

from levgen.check.files.model_file import ModelFile
from levgen.check.files.names import called, dotted
from levgen.check.files.python_file import PythonFile
from levgen.check.rule import Problem, any_python_rule

_COMPILERS = ("jit", "eval_shape", "make_jaxpr", "lower", "vmap")


def _compiles(name: str) -> bool:
    return any(part in name.rpartition(".")[2] for part in _COMPILERS)


def _compiled_names(file: PythonFile) -> set[str]:
    """Functions that are handed to `jit` and the like by name."""
    found: set[str] = set()
    for call in file.nodes.of(ast.Call):
        if _compiles(file.qualified(call.func) or called(call)):
            found |= {dotted(one).rpartition(".")[2] for one in call.args}
    return found


def _under_jit(file: PythonFile, node: ast.AST, compiled: set[str]) -> bool:
    around: ast.AST | None = node
    while around is not None:
        if isinstance(around, ast.FunctionDef | ast.AsyncFunctionDef):
            decorators = [ast.unparse(one) for one in around.decorator_list]
            qualified = [
                file.qualified(one.func if isinstance(one, ast.Call) else one) for one in around.decorator_list
            ]
            if around.name in compiled or any("jit" in text for text in [*decorators, *qualified]):
                return True
        elif isinstance(around, ast.Lambda):
            outer = file.nodes.parent(around)
            if isinstance(outer, ast.Call) and _compiles(file.qualified(outer.func) or called(outer)):
                return True
        elif isinstance(around, ast.With) and any("jit" in ast.unparse(one.context_expr) for one in around.items):
            return True
        around = file.nodes.parent(around)
    return False


@any_python_rule
def check(file: PythonFile) -> Iterator[Problem]:
    if isinstance(file, ModelFile):
        return
    calls = file.calls_of(name for name in file.calls if name.endswith("LMHeadModel.init"))
    compiled = _compiled_names(file) if calls else set()
    for call in calls:
        if not _under_jit(file, call, compiled):
            yield Problem(call, f"`{dotted(call.func)}` outside jit: `eqx.filter_jit({dotted(call.func)})(...)`")
