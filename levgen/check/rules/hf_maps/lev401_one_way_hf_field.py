"""A field that goes to the Hugging Face config and does not come back, or the reverse.

Why: A checkpoint that is loaded and saved again has another config: with `attention_bias` written and never read, a
model with biases loads without them, and its outputs differ from the reference with no error.

Bad:
```python models/example.py
from dataclasses import dataclass

from haliax import Axis

from levgen.runtime import LmConfig


@LmConfig.register_subclass("example")
@dataclass(frozen=True)
class ExampleConfig(LmConfig):
    hidden_dim: int = 64
    use_bias: bool = False

    Embed = property(lambda self: Axis("embed", self.hidden_dim))

    @classmethod
    def from_hf_config(cls, hf_config):
        return cls(hidden_dim=hf_config.hidden_size)

    def to_hf_config(self, vocab_size, config_overrides=None):
        return dict(hidden_size=self.hidden_dim, attention_bias=self.use_bias, vocab_size=vocab_size)


def bias(config: ExampleConfig) -> bool:
    return config.use_bias
```

Good:
```python models/example.py
from dataclasses import dataclass

from haliax import Axis

from levgen.runtime import LmConfig


@LmConfig.register_subclass("example")
@dataclass(frozen=True)
class ExampleConfig(LmConfig):
    hidden_dim: int = 64
    use_bias: bool = False

    Embed = property(lambda self: Axis("embed", self.hidden_dim))

    @classmethod
    def from_hf_config(cls, hf_config):
        return cls(hidden_dim=hf_config.hidden_size, use_bias=hf_config.attention_bias)

    def to_hf_config(self, vocab_size, config_overrides=None):
        return dict(hidden_size=self.hidden_dim, attention_bias=self.use_bias, vocab_size=vocab_size)


def bias(config: ExampleConfig) -> bool:
    return config.use_bias
```

Fix: Map the field in both methods, or use one `HfFields` table, which is read in both directions.
"""

import ast
from collections.abc import Iterator

from levgen.check.analysis.hf_maps import hand_written
from levgen.check.files.model_file import ModelFile
from levgen.check.rule import Problem, model_rule


@model_rule
def check(model: ModelFile) -> Iterator[Problem]:
    for config in model.configs:
        pair = hand_written(config)
        if pair is None or not pair.complete:
            continue
        # The size of the vocabulary comes to `to_hf_config` as an argument.
        passed = {one.arg for one in [*pair.writing.args.args, *pair.writing.args.kwonlyargs]}
        fields = config.all_fields.keys() - passed
        reported: set[str] = set()
        for name, where in pair.written():
            if name in fields and name not in pair.fields_read and name not in reported:
                reported.add(name)
                yield Problem(
                    where,
                    f"`{config.name}.{name}` is written as HF `{where.arg}` and `from_hf_config` never reads it back",
                )
        for name, where in pair.fields_read.items():
            # A constant, as of a switch that the architecture always has on, is not read from anywhere.
            read = not isinstance(where.value, ast.Constant)
            if read and name in fields and name not in pair.names_mentioned_in_writing:
                yield Problem(
                    where, f"`{config.name}.{name}` is read from the HF config and `to_hf_config` never writes it"
                )
