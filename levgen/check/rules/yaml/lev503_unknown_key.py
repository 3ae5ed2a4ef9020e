"""A key that the schema of training configurations does not know.

Why: The run stops before it starts, or, in tools that drop what they do not know, runs without the setting.

Bad:
```yaml config/example.yaml
data:
  tokenizer: data/tokenizer
  components:
    text:
      source: {type: url, train_urls: [data/train.jsonl]}
model: {type: example}
trainer: {num_train_stepz: 10}
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

Fix: Use the key that is meant; the nearest is named.
"""

from collections.abc import Iterator

from levgen.check.analysis.schema import Kind, problems_of
from levgen.check.files.yaml_file import YamlFile
from levgen.check.rule import Problem, yaml_rule


@yaml_rule
def check(file: YamlFile) -> Iterator[Problem]:
    for _, problem in problems_of(file, Kind.UNKNOWN):
        yield problem
