"""A test that checks nothing.

Why: It stays green whatever the model computes, and it is counted as proof.

Bad:
```python tests/test_example.py
def test_logits_equal_reference():
    ours, theirs = [1.0], [2.0]
    assert (ours == theirs, "logits differ")
```

Good:
```python tests/test_example.py
def test_logits_equal_reference():
    ours, theirs = [1.0], [1.0]
    assert ours == theirs, "logits differ"
```

Fix: Assert what must hold. A tuple is always true, and so is a value compared with itself.
"""

import ast
from collections.abc import Iterator

from levgen.check.files.names import called, last_name
from levgen.check.files.pytest_file import TestFile
from levgen.check.rule import Problem, test_rule

_CHECKING = ("assert", "check", "raises", "warns", "fail", "verify", "compare", "expect", "ensure", "validate", "xfail")
_LIBRARIES = frozenset({"jax", "haliax", "equinox", "numpy", "torch", "transformers", "levanter", "models", "levgen"})


def _always_true(test: ast.expr) -> bool:
    if isinstance(test, ast.Tuple):
        return bool(test.elts)
    if isinstance(test, ast.Constant):
        return bool(test.value)
    if isinstance(test, ast.Compare) and isinstance(test.ops[0], ast.Eq | ast.Is | ast.LtE | ast.GtE):
        return ast.dump(test.left) == ast.dump(test.comparators[0]) and not any(
            isinstance(one, ast.Call) for one in ast.walk(test.left)
        )
    return False


def _same_twice(call: ast.Call) -> bool:
    """`assert_allclose(x, x)`, `np.allclose(x, x)`: both arguments are one name."""
    if len(call.args) <= 1 or not isinstance(call.args[0], ast.Name):
        return False
    close = any(part in last_name(call.func) for part in ("allclose", "assert_close", "isclose", "array_equal"))
    return close and ast.dump(call.args[0]) == ast.dump(call.args[1])


def _may_check(file: TestFile, test: ast.AST) -> bool:
    """Whether anything in the test may fail: an assert, or a call of a helper that is not a library's."""
    if any(file.nodes.within(test, kind) for kind in (ast.Assert, ast.Raise)):
        return True
    local = {one.name for one in file.functions}
    for call in file.nodes.within(test, ast.Call):
        name = last_name(call.func) or called(call)
        if any(part in name.lower() for part in _CHECKING):
            return True
        # A helper of the file, or imported from the project, may assert.
        if isinstance(call.func, ast.Name):
            imported = file.imports.get(call.func.id)
            helper = call.func.id in local or (imported is not None and imported.split(".")[0] not in _LIBRARIES)
            if helper and call.func.id[:1].islower():
                return True
    return False


@test_rule
def check(file: TestFile) -> Iterator[Problem]:
    for node in file.nodes.of(ast.Assert):
        if _always_true(node.test):
            yield Problem(node, f"`{ast.unparse(node)}` is always true")
    for call in file.nodes.of(ast.Call):
        if _same_twice(call):
            yield Problem(call, f"`{ast.unparse(call)}` compares a value with itself")
    for test in file.tests:
        if not _may_check(file, test):
            yield Problem(test, f"`{test.name}` asserts nothing")
