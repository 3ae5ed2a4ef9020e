"""Training sequences are longer than the model allows.

Why: Positions past `max_seq_len` have no learned embedding, or a rotation that the model is never used with.

Bad:
```yaml config/example.yaml
data:
  tokenizer: data/tokenizer
  components:
    text:
      source: {type: url, train_urls: [data/train.jsonl]}
model: {type: example, max_seq_len: 1024}
trainer: {num_train_steps: 10}
train_seq_len: 2048
```

Good:
```yaml config/example.yaml
data:
  tokenizer: data/tokenizer
  components:
    text:
      source: {type: url, train_urls: [data/train.jsonl]}
model: {type: example, max_seq_len: 2048}
trainer: {num_train_steps: 10}
train_seq_len: 2048
```

Fix: Raise `model.max_seq_len`, or lower `train_seq_len`.
"""

from collections.abc import Iterator

from levgen.check.analysis.sizes import sizes
from levgen.check.files.yaml_file import YamlFile
from levgen.check.rule import Problem, yaml_rule


@yaml_rule
def check(file: YamlFile) -> Iterator[Problem]:
    entry, longest = file.entry("train_seq_len"), sizes(file).get("max_seq_len")
    if entry is not None and isinstance(entry.value, int) and longest is not None and entry.value > longest:
        yield Problem(entry.span, f"train_seq_len {entry.value} is above the model's max_seq_len {longest}")
