"""A comment switches a rule off and does not say why.

Why: The next reader cannot tell a considered exception from a finding that somebody silenced, so it is never
revisited.

Bad:
```python models/example.py
import jax.random as jrandom


def noise(key):
    return jrandom.normal(key), jrandom.uniform(key)  # levgen: ignore[LEV201]
```

Good:
```python models/example.py
import jax.random as jrandom


def noise(key):
    return jrandom.normal(key), jrandom.uniform(key)  # levgen: ignore[LEV201] the two are meant to be correlated
```

Fix: Write the reason after the bracket: `# levgen: ignore[LEV201] reason`.
"""

from levgen.check.rule import runner_rule

check = runner_rule
