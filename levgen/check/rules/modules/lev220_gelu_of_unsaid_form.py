"""gelu is used and its form is left to a default.

Why: haliax's and JAX's gelu is the tanh form unless told otherwise, transformers' "gelu" is the exact one. They
differ by 2e-3: parity fails, and a loose tolerance hides it.

Bad:
```python models/example.py
import haliax.nn as hnn
from haliax import NamedArray
from haliax.state_dict import ModuleWithStateDictSerialization


class ExampleMlp(ModuleWithStateDictSerialization):
    up_proj: hnn.Linear

    def __call__(self, x: NamedArray) -> NamedArray:
        return hnn.gelu(self.up_proj(x))
```

Good:
```python models/example.py
import haliax.nn as hnn
from haliax import NamedArray
from haliax.state_dict import ModuleWithStateDictSerialization


class ExampleMlp(ModuleWithStateDictSerialization):
    up_proj: hnn.Linear

    def __call__(self, x: NamedArray) -> NamedArray:
        return hnn.gelu(self.up_proj(x), approximate=False)
```

Fix: Write `approximate=`: False for "gelu", True for "gelu_new" and "gelu_pytorch_tanh"; or take the function from
`levgen.runtime.activation`, which knows transformers' names.
"""

from collections.abc import Iterator

from levgen.check.files.model_file import ModelFile
from levgen.check.files.names import has_spread, keyword
from levgen.check.rule import Problem, model_rule

_GELU = frozenset({"haliax.nn.gelu", "jax.nn.gelu"})


@model_rule
def check(model: ModelFile) -> Iterator[Problem]:
    for call in model.calls_of(_GELU):
        said = len(call.args) > 1 or keyword(call, "approximate") is not None or has_spread(call)
        if not said:
            yield Problem(call, 'gelu without `approximate=` is the tanh form, which transformers calls "gelu_new"')
