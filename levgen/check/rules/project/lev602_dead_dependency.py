"""The project depends on `haliax` or `levanter`, which are not developed any more.

Why: The packages of those names are from 2023 and do not import under today's JAX. Beside `marin-haliax` they write
into the same folder, and whichever is installed last wins.

Bad:
```toml pyproject.toml
[project]
name = "example"
version = "0"
dependencies = ["haliax>=1.3", "jax"]
```

```python models/example.py
WIDTH = 64
```

Good:
```toml pyproject.toml
[project]
name = "example"
version = "0"
dependencies = ["marin-haliax>=0.2.20.dev0", "jax"]
```

```python models/example.py
WIDTH = 64
```

Fix: Depend on `marin-haliax` and `marin-levanter`: the import names stay `haliax` and `levanter`.
"""

import re
from collections.abc import Iterator
from typing import Any

from levgen.check.files.project import Project
from levgen.check.rule import Problem, Span, project_rule

_DEAD = {"haliax": "marin-haliax", "levanter": "marin-levanter"}


def _requirements(table: dict[str, Any]) -> Iterator[str]:
    groups = [table.get("dependencies"), *dict(table.get("optional-dependencies") or {}).values()]
    for group in groups:
        yield from (one for one in group or [] if isinstance(one, str))


@project_rule
def check(project: Project) -> Iterator[Problem]:
    table = project.pyproject.get("project", {})
    for requirement in _requirements(table) if isinstance(table, dict) else ():
        name = re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0].lower()
        if name in _DEAD:
            yield Problem(
                line_of(project, requirement), f"`{requirement}` is no longer developed: depend on `{_DEAD[name]}`"
            )


def line_of(project: Project, text: str) -> Span:
    """The place of a text in `pyproject.toml`; its first line where it is written otherwise."""
    for number, line in enumerate(project.pyproject_text.splitlines(), 1):
        if text in line:
            column = line.index(text)
            return Span(number, column, number, column + len(text))
    return Span(1, 0, 1, 1)
