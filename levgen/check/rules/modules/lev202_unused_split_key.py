"""A key is split off and never used.

Why: A key that nobody takes is the trace of a parameter that is not initialised, or of one that took its neighbour's
key.

Bad:
```python models/example.py
import haliax.nn as hnn
import jax.random as jrandom
from haliax.state_dict import ModuleWithStateDictSerialization


class ExampleModel(ModuleWithStateDictSerialization):
    embeddings: hnn.Embedding

    @staticmethod
    def init(Vocab, Embed, *, key):
        k_embed, k_head = jrandom.split(key, 2)
        return ExampleModel(hnn.Embedding.init(Vocab, Embed, key=k_embed))

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

Fix: Use the key, or split into fewer. A name that begins with `_` says that it is left on purpose.
"""

import ast
from collections.abc import Iterator

from levgen.check.analysis.keys import split_assignments
from levgen.check.files.python_file import PythonFile
from levgen.check.rule import Problem, python_rule


@python_rule
def check(file: PythonFile) -> Iterator[Problem]:
    for function, _, _, targets in split_assignments(file):
        loaded = {one.id for one in file.nodes.within(function, ast.Name) if isinstance(one.ctx, ast.Load)}
        for target in targets:
            if isinstance(target, ast.Name) and not target.id.startswith("_") and target.id not in loaded:
                yield Problem(target, f"key `{target.id}` is split off and never used")
