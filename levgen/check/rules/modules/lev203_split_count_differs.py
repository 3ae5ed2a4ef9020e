"""A key is split into another number of keys than are unpacked.

Why: Unpacking raises ValueError, though only when this line runs: an `init` that no test covers fails at the user's.

Bad:
```python models/example.py
import jax.random as jrandom


def keys(key):
    k_attn, k_mlp = jrandom.split(key, 3)
    return k_attn, k_mlp
```

Good:
```python models/example.py
import jax.random as jrandom


def keys(key):
    k_attn, k_mlp = jrandom.split(key, 2)
    return k_attn, k_mlp
```

Fix: Make the number of names and the number of keys equal.
"""

import ast
from collections.abc import Iterator

from levgen.check.analysis.keys import split_assignments
from levgen.check.files.names import constant, keyword
from levgen.check.files.python_file import PythonFile
from levgen.check.rule import Problem, python_rule


@python_rule
def check(file: PythonFile) -> Iterator[Problem]:
    for _, statement, call, targets in split_assignments(file):
        number = keyword(call, "num") or (call.args[1] if len(call.args) > 1 else ast.Constant(2))
        count = constant(number)
        starred = any(isinstance(target, ast.Starred) for target in targets)
        if isinstance(count, int) and not starred and count != len(targets):
            yield Problem(statement, f"{count} keys are unpacked into {len(targets)} names")
