"""`_state_dict_key_map` renames a field that the module does not have.

Why: The line does nothing, and the field that was meant keeps its own name: the checkpoint's tensor is missing when
it is loaded, and a saved one has a name that the reference does not know.

Bad:
```python models/example.py
import haliax.nn as hnn
from haliax.state_dict import ModuleWithStateDictSerialization


class ExampleModel(ModuleWithStateDictSerialization):
    embeddings: hnn.Embedding

    def __call__(self, input_ids):
        return self.embeddings(input_ids)

    def _state_dict_key_map(self):
        return {"embedding": "model.embed_tokens"}
```

Good:
```python models/example.py
import haliax.nn as hnn
from haliax.state_dict import ModuleWithStateDictSerialization


class ExampleModel(ModuleWithStateDictSerialization):
    embeddings: hnn.Embedding

    def __call__(self, input_ids):
        return self.embeddings(input_ids)

    def _state_dict_key_map(self):
        return {"embeddings": "model.embed_tokens"}
```

Fix: Use the field's name.
"""

import ast
from collections.abc import Iterator

from levgen.check.files.model_file import ModelFile
from levgen.check.files.names import string_pairs
from levgen.check.rule import Problem, model_rule
from levgen.errors import did_you_mean


@model_rule
def check(model: ModelFile) -> Iterator[Problem]:
    for module in model.modules:
        method = module.methods.get("_state_dict_key_map")
        if method is None:
            continue
        for returned in model.nodes.within(method, ast.Return):
            for key, _ in string_pairs(returned.value):
                if str(key.value) in module.all_fields or module.unresolved_bases():
                    continue
                fields = module.every_field_name()
                if str(key.value) not in fields:
                    hint = did_you_mean(str(key.value), fields)
                    yield Problem(key, f"`{module.name}` has no field {key.value!r}" + (f": {hint}" if hint else ""))
