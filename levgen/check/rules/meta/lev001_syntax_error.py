"""A Python file that does not parse.

Why: No other rule can read it, so it would count as clean although nothing in it was checked.

Bad:
```python models/example.py
def attention(q, k:
    return q @ k
```

Good:
```python models/example.py
def attention(q, k):
    return q @ k
```

Fix: Mend the syntax at the place named.
"""

from levgen.check.rule import runner_rule

check = runner_rule
