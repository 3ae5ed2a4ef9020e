"""A Linear with `out_first=False` that a torch checkpoint fills.

Why: torch's Linear holds [out, in]. In-first weights are loaded transposed: a square projection takes its transpose
without any error, and every output is wrong.

Bad:
```python models/example.py
import haliax.nn as hnn
from haliax.state_dict import ModuleWithStateDictSerialization


class ExampleMlp(ModuleWithStateDictSerialization):
    up_proj: hnn.Linear

    @staticmethod
    def init(Embed, Mlp, *, key):
        up_proj = hnn.Linear.init(Embed, Mlp, key=key, use_bias=False, out_first=False)
        return ExampleMlp(up_proj)

    def __call__(self, x):
        return self.up_proj(x)
```

Good:
```python models/example.py
import haliax.nn as hnn
from haliax.state_dict import ModuleWithStateDictSerialization


class ExampleMlp(ModuleWithStateDictSerialization):
    up_proj: hnn.Linear

    @staticmethod
    def init(Embed, Mlp, *, key):
        up_proj = hnn.Linear.init(Embed, Mlp, key=key, use_bias=False, out_first=True)
        return ExampleMlp(up_proj)

    def __call__(self, x):
        return self.up_proj(x)
```

Fix: Write `out_first=True`. transformers' Conv1D is in-first indeed: layers with its names (`c_attn`, `c_fc`,
`c_proj`), and files that mention Conv1D, are left alone, as are classes that convert their state dict themselves.
"""

import ast
from collections.abc import Iterator

from levgen.check.files.model_file import SERIALIZABLE_BASES, ModelFile
from levgen.check.files.names import constant, keyword
from levgen.check.rule import Problem, model_rule

_CONV1D_NAMES = frozenset({"c_attn", "c_fc", "c_proj", "q_attn"})
_CONVERSIONS = frozenset({"from_state_dict", "to_state_dict", "flatten_for_export", "unflatten_from_export"})


def _field_name(model: ModelFile, call: ast.Call) -> str:
    """The variable or the keyword that the Linear is given to."""
    around = model.nodes.parent(call)
    if isinstance(around, ast.keyword):
        return around.arg or ""
    if isinstance(around, ast.Assign) and isinstance(around.targets[0], ast.Name):
        return around.targets[0].id
    return ""


@model_rule
def check(model: ModelFile) -> Iterator[Problem]:
    if "Conv1D" in model.text or any(_CONVERSIONS & one.methods.keys() for one in model.modules):
        return
    for call in model.calls_of(name for name in model.calls if name.endswith("Linear.init")):
        if constant(keyword(call, "out_first")) is not False:
            continue
        around = model.class_of(call)
        serialized = around is not None and any(one.descends_from(SERIALIZABLE_BASES) for one in model.modules)
        if serialized and _field_name(model, call) not in _CONV1D_NAMES:
            yield Problem(keyword(call, "out_first") or call, "torch's Linear is [out, in]: this loads its transpose")
