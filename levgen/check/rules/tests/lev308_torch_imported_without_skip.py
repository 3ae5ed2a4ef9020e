"""A test file imports torch or transformers at the top and does not skip where they are missing.

Why: Without torch, which the package does not need, the whole file fails to be collected, with the tests that need no
torch.

Bad:
```python tests/test_example.py
import torch
from models.example import ExampleMlp


def test_reference_is_finite():
    assert torch.isfinite(ExampleMlp(torch.ones(64))).all()
```

Good:
```python tests/test_example.py
import pytest
from models.example import ExampleMlp

torch = pytest.importorskip("torch")


def test_reference_is_finite():
    assert torch.isfinite(ExampleMlp(torch.ones(64))).all()
```

Fix: `torch = pytest.importorskip("torch")`, or import it in the tests that need it behind a skip.
"""

import ast
from collections.abc import Iterator

from levgen.check.files.pytest_file import TestFile
from levgen.check.rule import Problem, test_rule

_OPTIONAL = frozenset({"torch", "transformers"})


@test_rule
def check(file: TestFile) -> Iterator[Problem]:
    if file.model_tested is None or "importorskip" in file.text or "skip_without_torch" in file.text:
        return
    for node in file.tree.body:
        modules: list[str] = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            modules = [node.module or ""]
        heavy = [module for module in modules if module.partition(".")[0] in _OPTIONAL]
        if heavy:
            yield Problem(node, f"without {heavy[0].partition('.')[0]} the file is not collected: skip it instead")
            return
