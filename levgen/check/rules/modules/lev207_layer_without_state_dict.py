"""A layer class is stacked and is no `ModuleWithStateDictSerialization`.

Why: With the layers unrolled (`BlockSeq`, or `scan_layers: false`) Haliax asks each layer for `from_state_dict`,
which a plain `eqx.Module` does not have: the model trains, and no Hugging Face checkpoint loads into it.

Bad:
```python models/example.py
import equinox as eqx
import haliax.nn as hnn
from haliax.nn.scan import Stacked
from haliax.state_dict import ModuleWithStateDictSerialization


class ExampleDecoderLayer(eqx.Module):
    mlp: hnn.Linear

    def __call__(self, x):
        return self.mlp(x)


class ExampleTransformer(ModuleWithStateDictSerialization):
    layers: Stacked[ExampleDecoderLayer]

    @staticmethod
    def init(config, *, key):
        return ExampleTransformer(Stacked.init(config.Layers, ExampleDecoderLayer)(config, key=key))

    def __call__(self, x):
        return self.layers.fold(x)
```

Good:
```python models/example.py
import haliax.nn as hnn
from haliax.nn.scan import Stacked
from haliax.state_dict import ModuleWithStateDictSerialization


class ExampleDecoderLayer(ModuleWithStateDictSerialization):
    mlp: hnn.Linear

    def __call__(self, x):
        return self.mlp(x)


class ExampleTransformer(ModuleWithStateDictSerialization):
    layers: Stacked[ExampleDecoderLayer]

    @staticmethod
    def init(config, *, key):
        return ExampleTransformer(Stacked.init(config.Layers, ExampleDecoderLayer)(config, key=key))

    def __call__(self, x):
        return self.layers.fold(x)
```

Fix: Subclass `haliax.state_dict.ModuleWithStateDictSerialization`, which is an `eqx.Module`.
"""

import ast
from collections.abc import Iterator

from levgen.check.files.model_file import SERIALIZABLE_BASES, ModelFile
from levgen.check.rule import Problem, model_rule


@model_rule
def check(model: ModelFile) -> Iterator[Problem]:
    if not any(name.endswith((".Stacked", ".BlockSeq", ".BlockFoldable")) for name in model.imports.values()):
        return
    modules = {one.name: one for one in model.modules}
    seen: set[str] = set()
    for call in model.nodes.of(ast.Call):
        if not isinstance(call.func, ast.Attribute) or call.func.attr != "init" or len(call.args) < 2:
            continue
        layer = call.args[1]
        module = modules.get(layer.id) if isinstance(layer, ast.Name) else None
        if module is None or module.name in seen or module.descends_from(SERIALIZABLE_BASES, far=True):
            continue
        seen.add(module.name)
        yield Problem(
            module.node,
            f"layer `{module.name}` cannot load a checkpoint unrolled: subclass ModuleWithStateDictSerialization",
        )
