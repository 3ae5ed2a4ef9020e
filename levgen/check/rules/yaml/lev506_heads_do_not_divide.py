"""The numbers of heads do not divide as the model needs it.

Why: Grouped attention takes num_heads over num_kv_heads, and a head without a size of its own takes hidden_dim over
num_heads: with a remainder the division is rounded down, and weights do not fit.

Bad:
```yaml config/example.yaml
data:
  tokenizer: data/tokenizer
  components:
    text:
      source: {type: url, train_urls: [data/train.jsonl]}
model: {type: example, hidden_dim: 64, num_heads: 6, num_kv_heads: 4, head_dim: 16}
trainer: {num_train_steps: 10}
```

Good:
```yaml config/example.yaml
data:
  tokenizer: data/tokenizer
  components:
    text:
      source: {type: url, train_urls: [data/train.jsonl]}
model: {type: example, hidden_dim: 64, num_heads: 8, num_kv_heads: 4, head_dim: 16}
trainer: {num_train_steps: 10}
```

Fix: Choose numbers that divide, or give `head_dim`.
"""

from collections.abc import Iterator

from levgen.check.analysis.sizes import head_size_is_given, sizes
from levgen.check.files.yaml_file import Entry, YamlFile
from levgen.check.rule import Problem, yaml_rule


def _first(file: YamlFile, *names: str) -> Entry | None:
    """The first of the keys that the YAML itself gives: where it gives none, the fault is not in it."""
    return next((entry for name in names if (entry := file.entry("model", name)) is not None), None)


@yaml_rule
def check(file: YamlFile) -> Iterator[Problem]:
    known = sizes(file)
    hidden, heads, kv_heads = (known.get(name, 0) for name in ("hidden_dim", "num_heads", "num_kv_heads"))
    where = _first(file, "num_kv_heads", "num_heads")
    if where is not None and heads > 0 and kv_heads > 0 and heads % kv_heads:
        yield Problem(where.span, f"num_heads {heads} is no multiple of num_kv_heads {kv_heads}")
    where = _first(file, "num_heads", "hidden_dim")
    if where is not None and hidden > 0 and heads > 0 and hidden % heads and not head_size_is_given(file, known):
        yield Problem(where.span, f"hidden_dim {hidden} is no multiple of num_heads {heads}, and no head_dim is given")
