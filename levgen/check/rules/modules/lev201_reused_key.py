"""A PRNG key is used twice.

Why: The same key gives the same numbers: an embedding and a head that should be independent start equal where their
shapes agree, and two dropouts drop the same elements.

Bad:
```python models/example.py
import haliax.nn as hnn
import jax.random as jrandom
from haliax.state_dict import ModuleWithStateDictSerialization


class ExampleModel(ModuleWithStateDictSerialization):
    embeddings: hnn.Embedding
    lm_head: hnn.Linear

    @staticmethod
    def init(Vocab, Embed, *, key):
        k_embed, k_head = jrandom.split(key, 2)
        embeddings = hnn.Embedding.init(Vocab, Embed, key=k_embed)
        lm_head = hnn.Linear.init(Embed, Vocab, key=k_embed, use_bias=False)
        return ExampleModel(embeddings, lm_head), k_head

    def __call__(self, input_ids):
        return self.lm_head(self.embeddings(input_ids))
```

Good:
```python models/example.py
import haliax.nn as hnn
import jax.random as jrandom
from haliax.state_dict import ModuleWithStateDictSerialization


class ExampleModel(ModuleWithStateDictSerialization):
    embeddings: hnn.Embedding
    lm_head: hnn.Linear

    @staticmethod
    def init(Vocab, Embed, *, key):
        k_embed, k_head = jrandom.split(key, 2)
        embeddings = hnn.Embedding.init(Vocab, Embed, key=k_embed)
        lm_head = hnn.Linear.init(Embed, Vocab, key=k_head, use_bias=False)
        return ExampleModel(embeddings, lm_head)

    def __call__(self, input_ids):
        return self.lm_head(self.embeddings(input_ids))
```

Fix: Split one key more and use each once. Branches that exclude each other count once; a loop counts as many.
"""

from collections.abc import Iterator

from levgen.check.analysis.keys import KeyTracker, functions_with_keys
from levgen.check.files.python_file import PythonFile
from levgen.check.rule import Problem, python_rule

_WITH_KEYS = frozenset({"jax", "haliax", "equinox"})


@python_rule
def check(file: PythonFile) -> Iterator[Problem]:
    if _WITH_KEYS.isdisjoint(name.partition(".")[0] for name in file.imports.values()):
        return
    for function in functions_with_keys(file):
        for reuse in KeyTracker(file, function).found:
            how = "in each round of a loop" if reuse.in_loop else "a second time"
            yield Problem(reuse.node, f"key `{reuse.name}` is used {how}: split it first")
