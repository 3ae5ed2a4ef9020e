"""The `data` section names no tokenizer.

Why: The trainer takes a default, or asks a hub for one: offline the run stops, online the vocabulary is another than
the model was made for.

Bad:
```yaml config/example.yaml
data:
  components:
    text:
      source: {type: url, train_urls: [data/train.jsonl]}
model: {type: example}
trainer: {num_train_steps: 10}
```

Good:
```yaml config/example.yaml
data:
  tokenizer: data/tokenizer
  components:
    text:
      source: {type: url, train_urls: [data/train.jsonl]}
model: {type: example}
trainer: {num_train_steps: 10}
```

Fix: Write `tokenizer:` with a folder, or a name.
"""

from collections.abc import Iterator

from levgen.check.files.yaml_file import YamlFile
from levgen.check.rule import Problem, yaml_rule


@yaml_rule
def check(file: YamlFile) -> Iterator[Problem]:
    data = file.entry("data")
    if data is not None and isinstance(data.value, dict) and not data.value.get("tokenizer"):
        yield Problem(data.span, "`data` names no tokenizer")
