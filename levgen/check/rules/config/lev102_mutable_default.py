"""A default that every instance shares and anyone can change.

Why: `dataclass` refuses a list or dict as a default when the file is imported; in an argument's default the one
object lives as long as the process, so what one call appends the next call finds.

Bad:
```python models/example.py
def overrides(extra: dict = {}):
    extra["dropout"] = 0.0
    return extra
```

Good:
```python models/example.py
def overrides(extra: dict | None = None):
    return {**(extra or {}), "dropout": 0.0}
```

Fix: In a dataclass use `field(default_factory=list)` or a tuple; in a function use None and make the object inside.
"""

import ast
from collections.abc import Iterator

from levgen.check.files.names import called
from levgen.check.files.python_file import PythonFile
from levgen.check.rule import Problem, python_rule


def _mutable(node: ast.expr | None) -> bool:
    return isinstance(node, ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp | ast.SetComp) or (
        called(node) in {"list", "dict", "set"} if node is not None else False
    )


@python_rule
def check(file: PythonFile) -> Iterator[Problem]:
    for function in file.functions:
        arguments = function.args
        for default in [*arguments.defaults, *arguments.kw_defaults]:
            if default is not None and _mutable(default):
                yield Problem(default, f"`{function.name}` shares this default between its calls: use None")
    for one in file.classes.values():
        if one.dataclass_decorator is not None:
            for field in one.fields.values():
                if field.default is not None and _mutable(field.default):
                    yield Problem(
                        field.default,
                        f"dataclass refuses a mutable default for `{field.name}`: use `field(default_factory=...)`",
                    )
