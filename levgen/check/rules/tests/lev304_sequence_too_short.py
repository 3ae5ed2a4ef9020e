"""No comparison with the reference is longer than 64 positions, or than the sliding window.

Why: A wrong rotary layout, window or scaling shows only far out: a partial-rotary fault passes on short prompts and
fails at 500 tokens, and within a window of 128 a sequence of 64 is not windowed at all.

Bad:
```python tests/test_example.py
import pytest
from haliax import Axis
from models.example import ExampleMlp

torch = pytest.importorskip("torch")
Pos = Axis("position", 16)


def test_gradients_equal_reference():
    grad = ExampleMlp(torch.ones(Pos.size))
    assert grad.sum() == Pos.size
```

Good:
```python tests/test_example.py
import pytest
from haliax import Axis
from models.example import ExampleMlp

torch = pytest.importorskip("torch")
Pos = Axis("position", 64)


def test_gradients_equal_reference():
    grad = ExampleMlp(torch.ones(Pos.size))
    assert grad.sum() == Pos.size
```

Fix: Compare at 64 positions or more, past the window, and past the context that a scaled rotation was trained on.
"""

import ast
from collections.abc import Iterator

from levgen.check.files.names import constant, keyword, last_name
from levgen.check.files.pytest_file import TestFile
from levgen.check.rule import Problem, test_rule

_LENGTHS = frozenset({"max_seq_len", "seq_len", "max_position_embeddings", "n_positions", "sequence_length"})
_WINDOWS = frozenset({"sliding_window", "window", "attention_window"})
_SHORTEST = 64


def _named_numbers(file: TestFile, names: frozenset[str]) -> Iterator[tuple[int, ast.expr]]:
    """Numbers given to these names, as keywords or variables."""
    for one in file.nodes.of(ast.keyword):
        value = constant(one.value)
        if one.arg in names and isinstance(value, int):
            yield value, one.value
    for node in file.nodes.of(ast.Assign):
        value = constant(node.value)
        if isinstance(node.targets[0], ast.Name) and node.targets[0].id.lower() in names and isinstance(value, int):
            yield value, node.value


def _positions(file: TestFile) -> Iterator[tuple[int, ast.expr]]:
    """Sizes of axes named "position"."""
    for call in file.nodes.of(ast.Call):
        if last_name(call.func) != "Axis":
            continue
        name = keyword(call, "name") or (call.args[0] if call.args else None)
        size = keyword(call, "size") or (call.args[1] if len(call.args) > 1 else None)
        value = constant(size)
        if constant(name) == "position" and isinstance(value, int) and size is not None:
            yield value, size


@test_rule
def check(file: TestFile) -> Iterator[Problem]:
    if not file.is_parity_test:
        return
    lengths = [*_positions(file), *_named_numbers(file, _LENGTHS)]
    if not lengths:
        return
    longest, where = max(lengths, key=lambda one: one[0])
    windows = [value for value, _ in _named_numbers(file, _WINDOWS)]
    if longest < _SHORTEST:
        yield Problem(where, f"no comparison is longer than {longest} positions: use {_SHORTEST} or more")
    elif windows and longest <= min(windows):
        yield Problem(where, f"no sequence is longer than the window of {min(windows)}, so it is never applied")
