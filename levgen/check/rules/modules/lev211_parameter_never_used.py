"""A module makes a parameter or a submodule that its forward never uses.

Why: The weights are trained by nothing, saved, and loaded from the checkpoint, while the function lacks them: a
q_norm that is created and not called is another model than the reference. A stub, whose forward raises
NotImplementedError and nothing else, uses nothing yet.

Bad:
```python models/example.py
import haliax.nn as hnn
from haliax import NamedArray
from haliax.state_dict import ModuleWithStateDictSerialization


class ExampleAttention(ModuleWithStateDictSerialization):
    q_proj: hnn.Linear
    q_norm: hnn.LayerNorm

    def __call__(self, x: NamedArray) -> NamedArray:
        return self.q_proj(x)
```

Good:
```python models/example.py
import haliax.nn as hnn
from haliax import NamedArray
from haliax.state_dict import ModuleWithStateDictSerialization


class ExampleAttention(ModuleWithStateDictSerialization):
    q_proj: hnn.Linear
    q_norm: hnn.LayerNorm

    def __call__(self, x: NamedArray) -> NamedArray:
        return self.q_norm(self.q_proj(x))
```

Fix: Call it where the reference does, or remove it.
"""

from collections.abc import Iterator

from levgen.check.analysis.reads import attributes_read
from levgen.check.analysis.unwritten import is_unwritten
from levgen.check.files.model_file import ModelFile
from levgen.check.files.names import last_name
from levgen.check.rule import Problem, model_rule

# Read by the runtime's base class of models.
_READ_BY_BASE = frozenset({"config", "embeddings", "lm_head", "transformer"})
_USING = frozenset({"LayerNormBase"})
_PLAIN = frozenset({"int", "float", "bool", "str", "Axis", "AxisSpec", "Callable", "Optional", "Any", "tuple", "dict"})


@model_rule
def check(model: ModelFile) -> Iterator[Problem]:
    own: set[str] | None = None
    for module in model.modules:
        # A class without a forward only holds data.
        if not any(name in module.methods for name in ("__call__", "activations", "embed")):
            continue
        if is_unwritten(module.node):
            continue
        if own is None:
            own = attributes_read(model, model.tree)
        for field in module.fields.values():
            if field.static or field.name in own | _READ_BY_BASE or last_name(field.annotation) in _PLAIN:
                continue
            if any(field.name in attributes_read(other, other.tree) for other in model.project.importers(model)):
                continue
            # A base may use the field: haliax's norms do, and so may one that cannot be read.
            if module.unresolved_bases() or module.descends_from(_USING, far=True):
                continue
            if any(field.name in attributes_read(base.file, base.node) for base in module.lineage):
                continue
            yield Problem(field.node, f"`{module.name}.{field.name}` is made and never used")
