"""A key that stands twice in one mapping.

Why: YAML takes the last in silence, so an edit of the first changes nothing.

Bad:
```yaml config/example.yaml
data:
  tokenizer: data/tokenizer
  components:
    text:
      source: {type: url, train_urls: [data/train.jsonl]}
model: {type: example, hidden_dim: 64, hidden_dim: 128}
trainer: {num_train_steps: 10}
```

Good:
```yaml config/example.yaml
data:
  tokenizer: data/tokenizer
  components:
    text:
      source: {type: url, train_urls: [data/train.jsonl]}
model: {type: example, hidden_dim: 128}
trainer: {num_train_steps: 10}
```

Fix: Keep one.
"""

from collections.abc import Iterator

from levgen.check.files.yaml_file import YamlFile
from levgen.check.rule import Problem, yaml_rule


@yaml_rule
def check(file: YamlFile) -> Iterator[Problem]:
    for entry in file.duplicates:
        yield Problem(entry.span, f"`{entry.dotted}` stands twice: only the last counts")
