"""A module makes its own PRNG key from a constant.

Why: Every model starts with the same numbers whatever seed the user chose, and layers that are made in turn are
equal.

Bad:
```python models/example.py
import haliax.nn as hnn
import jax.random as jrandom
from haliax.state_dict import ModuleWithStateDictSerialization


class ExampleModel(ModuleWithStateDictSerialization):
    embeddings: hnn.Embedding

    @staticmethod
    def init(Vocab, Embed):
        return ExampleModel(hnn.Embedding.init(Vocab, Embed, key=jrandom.PRNGKey(0)))

    def __call__(self, input_ids):
        return self.embeddings(input_ids)
```

Good:
```python models/example.py
import haliax.nn as hnn
from haliax.state_dict import ModuleWithStateDictSerialization


class ExampleModel(ModuleWithStateDictSerialization):
    embeddings: hnn.Embedding

    @staticmethod
    def init(Vocab, Embed, *, key):
        return ExampleModel(hnn.Embedding.init(Vocab, Embed, key=key))

    def __call__(self, input_ids):
        return self.embeddings(input_ids)
```

Fix: Take `key` as an argument and hand it on.
"""

import ast
from collections.abc import Iterator

from levgen.check.files.model_file import ModelFile
from levgen.check.rule import Problem, model_rule

_MAKERS = frozenset({"jax.random.PRNGKey", "jax.random.key"})


@model_rule
def check(model: ModelFile) -> Iterator[Problem]:
    modules = {one.name for one in model.modules}
    for call in model.calls_of(_MAKERS):
        if call.args and isinstance(call.args[0], ast.Constant):
            around = model.class_of(call)
            if around is not None and around.name in modules:
                yield Problem(call, f"`{ast.unparse(call)}` in `{around.name}`: take the key as an argument")
