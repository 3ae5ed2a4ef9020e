"""A hyperparameter that the map to Hugging Face does not name.

Why: Loading a checkpoint leaves the field at its default whatever config.json says: a head size of 256 loads as
hidden size over heads, and the weights do not fit, or fit wrongly. Saving drops it.

Bad:
```python models/example.py
from dataclasses import dataclass

from haliax import Axis

from levgen.runtime import HfFields, LmConfig


@LmConfig.register_subclass("example")
@dataclass(frozen=True)
class ExampleConfig(LmConfig):
    hidden_dim: int = 64
    norm_eps: float = 1e-6

    Embed = property(lambda self: Axis("embed", self.hidden_dim))
    hf_fields = HfFields("LlamaConfig", {"hidden_dim": "hidden_size"})


def eps(config: ExampleConfig) -> float:
    return config.norm_eps
```

Good:
```python models/example.py
from dataclasses import dataclass

from haliax import Axis

from levgen.runtime import HfFields, LmConfig


@LmConfig.register_subclass("example")
@dataclass(frozen=True)
class ExampleConfig(LmConfig):
    hidden_dim: int = 64
    norm_eps: float = 1e-6

    Embed = property(lambda self: Axis("embed", self.hidden_dim))
    hf_fields = HfFields("LlamaConfig", {"hidden_dim": "hidden_size", "norm_eps": "rms_norm_eps"})


def eps(config: ExampleConfig) -> float:
    return config.norm_eps
```

Fix: Add the field to the table under its HF name. A field that says only how the model is run
(`gradient_checkpointing`) is left alone. In hand-written methods the rule looks at sizes only, since those are never
optional.
"""

import re
from collections.abc import Iterator

from levgen.check.analysis.hf_maps import RUN_TIME_FIELDS, hand_written, table
from levgen.check.files.classes import ClassInfo, Field
from levgen.check.files.model_file import ModelFile
from levgen.check.rule import Problem, model_rule

_SIZE = re.compile(r"num_(layers|heads|kv_heads|experts)|(hidden|intermediate|head|mlp)_(dim|size)|max_seq_len")


def _without_table(config: ClassInfo) -> Iterator[Field]:
    pair = hand_written(config)
    if pair is None or not pair.complete:
        return
    for field in config.all_fields.values():
        mentioned = field.name in pair.fields_read or field.name in pair.names_mentioned_in_writing
        if _SIZE.fullmatch(field.name) and not mentioned:
            yield field


@model_rule
def check(model: ModelFile) -> Iterator[Problem]:
    for config in model.configs:
        mapping = table(config)
        if mapping is not None and mapping.readable:
            named = {key.value for key, _ in mapping.fields()}
            missing = [one for one in config.all_fields.values() if one.name not in named | RUN_TIME_FIELDS]
            where = "the HfFields table"
        else:
            missing, where = list(_without_table(config)), "either of from_hf_config and to_hf_config"
        for field in missing:
            at = field.node if field.name in config.fields else config.node
            yield Problem(
                at, f"`{config.name}.{field.name}` is not in {where}: loading keeps its default, saving drops it"
            )
