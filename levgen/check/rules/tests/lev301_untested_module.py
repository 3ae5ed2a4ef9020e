"""A module of a model that no test names.

Why: A fault in it shows, if at all, in the whole model's logits, where nobody sees which of the modules is wrong.

Bad:
```python models/example.py
import haliax.nn as hnn
from haliax.state_dict import ModuleWithStateDictSerialization


class ExampleMlp(ModuleWithStateDictSerialization):
    up_proj: hnn.Linear

    def __call__(self, x):
        return self.up_proj(x)
```

```toml pyproject.toml
[tool.levgen]
models = "models"
```

Good:
```python models/example.py
import haliax.nn as hnn
from haliax.state_dict import ModuleWithStateDictSerialization


class ExampleMlp(ModuleWithStateDictSerialization):
    up_proj: hnn.Linear

    def __call__(self, x):
        return self.up_proj(x)
```

```python tests/test_example.py
import haliax.nn as hnn
from models.example import ExampleMlp


def test_mlp_is_its_projection():
    assert ExampleMlp(up_proj=hnn.relu)(-1) == 0
```

```toml pyproject.toml
[tool.levgen]
models = "models"
```

Fix: Write a test of the module alone in `tests/test_<model>.py`: the forward runs, the axes are right, the values are
the reference's.
"""

import re
from collections.abc import Iterator

from levgen.check.files.model_file import ModelFile
from levgen.check.rule import CannotCheckError, Problem, model_rule


@model_rule
def check(model: ModelFile) -> Iterator[Problem]:
    project = model.project
    models, tests = project.folder("models"), project.folder("tests")
    if models is None or tests is None:
        raise CannotCheckError("no pyproject.toml stands above the file, so its tests were not found")
    if not model.path.resolve().is_relative_to(models.resolve()):
        raise CannotCheckError(f"the file lies outside the project's models folder, {models.name}")
    name = f"test_{model.path.stem}.py"
    found = [tests / name] if (tests / name).is_file() else sorted(tests.rglob(name))
    if not found:
        yield Problem(
            model.modules[0].node if model.modules else model.configs[0].node,
            f"no test: {tests.name}/{name} does not exist",
        )
        return
    words = set(re.findall(r"\w+", found[0].read_text(encoding="utf-8")))
    for module in model.modules:
        if module.name not in words:
            yield Problem(module.node, f"no test names `{module.name}` ({tests.name}/{found[0].relative_to(tests)})")
