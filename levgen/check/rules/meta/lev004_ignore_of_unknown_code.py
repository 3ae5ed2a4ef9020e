"""A comment switches off a rule that does not exist, or names none.

Why: A mistyped code silences nothing, and a bare `ignore` would silence everything: neither does what was meant.

Bad:
```python models/example.py
WIDTH = 64  # levgen: ignore[LEV999] a fixed width
```

Good:
```python models/example.py
WIDTH = 64
```

Fix: Name the code of the finding that is meant; `levgen rule CODE` explains each.
"""

from levgen.check.rule import runner_rule

check = runner_rule
