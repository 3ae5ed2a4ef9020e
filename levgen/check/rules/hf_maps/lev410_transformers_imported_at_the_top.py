"""A model file imports transformers or torch when it is imported.

Why: `from transformers import LlamaConfig` takes 5 to 10 seconds and pulls in torch: every command that only wants
the model pays for it, and where torch is absent the model cannot be used at all.

Bad:
```python models/example.py
import haliax.nn as hnn
from haliax.state_dict import ModuleWithStateDictSerialization
from transformers import LlamaConfig as HfLlamaConfig


class ExampleModel(ModuleWithStateDictSerialization):
    embeddings: hnn.Embedding

    def __call__(self, input_ids):
        return self.embeddings(input_ids)

    def hf_config(self):
        return HfLlamaConfig()
```

Good:
```python models/example.py
import haliax.nn as hnn
from haliax.state_dict import ModuleWithStateDictSerialization


class ExampleModel(ModuleWithStateDictSerialization):
    embeddings: hnn.Embedding

    def __call__(self, input_ids):
        return self.embeddings(input_ids)

    def hf_config(self):
        from transformers import LlamaConfig as HfLlamaConfig

        return HfLlamaConfig()
```

Fix: Import it inside the function that needs it, under `if TYPE_CHECKING:` for annotations, or name the class as a
string in `HfFields("LlamaConfig", ...)`.
"""

import ast
from collections.abc import Iterator

from levgen.check.files.model_file import ModelFile
from levgen.check.rule import Problem, model_rule

_HEAVY = frozenset({"transformers", "torch"})


@model_rule
def check(model: ModelFile) -> Iterator[Problem]:
    for node in model.tree.body:
        modules = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            modules = [node.module or ""]
        heavy = [module for module in modules if module.partition(".")[0] in _HEAVY]
        if heavy:
            yield Problem(node, f"importing `{heavy[0]}` at the top makes every user of this model wait for it")
            return
