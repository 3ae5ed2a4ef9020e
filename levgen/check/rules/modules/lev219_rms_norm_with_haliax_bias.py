"""haliax's RmsNorm is made without saying that it has no bias.

Why: Its default is `use_bias=True`: the model gets a bias that no RMSNorm of transformers has. Loading reports it
missing, and training moves it away from zero, after which no export is the same function.

Bad:
```python models/example.py
import haliax.nn as hnn
from haliax import NamedArray
from haliax.state_dict import ModuleWithStateDictSerialization


class ExampleBlock(ModuleWithStateDictSerialization):
    norm: hnn.RmsNorm

    @staticmethod
    def init(config):
        return ExampleBlock(hnn.RmsNorm.init(config.Embed, eps=config.norm_eps))

    def __call__(self, x: NamedArray) -> NamedArray:
        return self.norm(x)
```

Good:
```python models/example.py
import haliax.nn as hnn
from haliax import NamedArray
from haliax.state_dict import ModuleWithStateDictSerialization


class ExampleBlock(ModuleWithStateDictSerialization):
    norm: hnn.RmsNorm

    @staticmethod
    def init(config):
        return ExampleBlock(hnn.RmsNorm.init(config.Embed, eps=config.norm_eps, use_bias=False))

    def __call__(self, x: NamedArray) -> NamedArray:
        return self.norm(x)
```

Fix: Write `use_bias=False`, or `use_bias=True` where the reference really has one.
"""

from collections.abc import Iterator

from levgen.check.files.model_file import ModelFile
from levgen.check.files.names import has_spread, keyword
from levgen.check.rule import Problem, model_rule


@model_rule
def check(model: ModelFile) -> Iterator[Problem]:
    for call in model.calls_of(("haliax.nn.RmsNorm.init",)):
        said = keyword(call, "use_bias") is not None or has_spread(call)
        if not said:
            yield Problem(call, "haliax's RmsNorm has a bias unless told `use_bias=False`")
