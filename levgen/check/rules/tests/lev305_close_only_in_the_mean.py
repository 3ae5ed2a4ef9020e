"""Outputs are compared by their mean, or by the share that is close.

Why: One wrong position of a thousand, or a sign that cancels, leaves the mean where it was: a mask that is off by one
passes.

Bad:
```python tests/test_example.py
import numpy as np


def test_logits():
    ours, theirs = np.ones(64), np.ones(64)
    assert np.isclose(ours, theirs).mean() > 0.99
```

Good:
```python tests/test_example.py
import numpy as np


def test_logits():
    ours, theirs = np.ones(64), np.ones(64)
    assert np.isclose(ours, theirs).all()
```

Fix: Compare every element: the largest difference over the largest reference value.
"""

import ast
from collections.abc import Iterator

from levgen.check.files.names import last_name
from levgen.check.files.pytest_file import TestFile
from levgen.check.rule import Problem, test_rule

_AVERAGES = frozenset({"mean", "average", "median"})
_CLOSE = frozenset({"allclose", "assert_allclose", "assert_close"})
_BOTH = 2


def _averaged(call: ast.Call) -> list[ast.expr]:
    """What `x.mean()` or `np.mean(x)` averages."""
    if not isinstance(call.func, ast.Attribute) or call.func.attr not in _AVERAGES:
        return []
    return [call.func.value, *call.args[:1]]


def _is_difference(node: ast.expr) -> bool:
    """`abs(a - b)` of two values."""
    name = last_name(node.func) if isinstance(node, ast.Call) else ""
    inner = node.args[0] if isinstance(node, ast.Call) and node.args else None
    if name == "" and isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "abs":
        name, inner = "abs", node.func.value
    return name in {"abs", "absolute", "square"} and isinstance(inner, ast.BinOp) and isinstance(inner.op, ast.Sub)


@test_rule
def check(file: TestFile) -> Iterator[Problem]:
    for call in file.nodes.of(ast.Call):
        for node in _averaged(call):
            inside_assert = file.nodes.enclosing(call, ast.Assert) is not None
            if isinstance(node, ast.Call) and last_name(node.func) == "isclose":
                yield Problem(call, "only a share of the elements has to be close: compare them all")
            elif inside_assert and _is_difference(node):
                yield Problem(call, "only the mean difference is bounded: compare every element")
        averages = [one for one in call.args[:2] if isinstance(one, ast.Call) and _averaged(one)]
        if last_name(call.func) in _CLOSE and len(averages) == _BOTH:
            yield Problem(call, "only the means are compared: compare every element")
