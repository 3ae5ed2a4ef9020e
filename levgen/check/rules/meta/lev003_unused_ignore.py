"""A comment switches a rule off where the rule finds nothing.

Why: The exception outlives its cause and hides the next fault on that line.

Bad:
```python models/example.py
import jax.random as jrandom


def noise(key):
    return jrandom.normal(key)  # levgen: ignore[LEV201] one key was used for two draws here
```

Good:
```python models/example.py
import jax.random as jrandom


def noise(key):
    return jrandom.normal(key)
```

Fix: Remove the comment, or the code from it; `--fix` does.
"""

from levgen.check.rule import runner_rule

check = runner_rule
