"""`[tool.levgen]` names a folder that does not exist.

Why: Models, tests or configs are looked for where there are none: new files go to a folder that nobody reads, and
checks of the real ones are skipped.

Bad:
```toml pyproject.toml
[tool.levgen]
models = "src/model"
```

```python src/models/example.py
WIDTH = 64
```

Good:
```toml pyproject.toml
[tool.levgen]
models = "src/models"
```

```python src/models/example.py
WIDTH = 64
```

Fix: Correct the path, which is seen from the folder of pyproject.toml.
"""

from collections.abc import Iterator

from levgen.check.files.project import Project
from levgen.check.rule import Problem, Span, project_rule


@project_rule
def check(project: Project) -> Iterator[Problem]:
    for kind in ("models", "tests", "config"):
        folder = project.folder(kind)
        if kind in project.levgen and folder is not None and not folder.is_dir():
            named = str(project.levgen[kind])
            lines = project.pyproject_text.splitlines()
            number = next((at for at, line in enumerate(lines, 1) if line.startswith(kind) and named in line), 1)
            yield Problem(Span(number, 0, number, len(kind)), f"[tool.levgen] {kind}: there is no folder {named!r}")
