"""The tests of a model never touch a gradient.

Why: A model can agree in every logit and learn something else: a `stop_gradient`, a detached branch or an integer
cast leaves the forward as it was.

Bad:
```python tests/test_example.py
import pytest
from models.example import ExampleLMHeadModel

torch = pytest.importorskip("torch")


def test_logits_equal_reference():
    assert ExampleLMHeadModel(64) == torch.ones(64).sum()
```

Good:
```python tests/test_example.py
import jax
import pytest
from models.example import ExampleLMHeadModel

torch = pytest.importorskip("torch")


def test_logits_equal_reference():
    assert ExampleLMHeadModel(64) == torch.ones(64).sum()


def test_gradients_equal_reference():
    assert jax.grad(ExampleLMHeadModel)(64.0) == 1
```

Fix: Compare the gradient of every parameter with the reference's, by Hugging Face names.
"""

import re
from collections.abc import Iterator

from levgen.check.files.pytest_file import TestFile
from levgen.check.rule import Problem, Span, test_rule

_GRADIENT = re.compile(r"grad|backward|vjp|jacobian", re.IGNORECASE)


@test_rule
def check(file: TestFile) -> Iterator[Problem]:
    whole_model = any(name.endswith(("LMHeadModel", "ForCausalLM")) for name in file.imports)
    if file.is_parity_test and whole_model and file.tests and not _GRADIENT.search(file.text):
        yield Problem(Span(1, 0, 1, 1), f"no test of `{file.model_tested}` touches a gradient")
