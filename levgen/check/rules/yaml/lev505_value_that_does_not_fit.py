"""A value that the schema of training configurations refuses.

Why: The run stops before it starts, on a machine that may have been waited for.

Bad:
```yaml config/example.yaml
data:
  tokenizer: data/tokenizer
  components:
    text:
      source: {type: url, train_urls: [data/train.jsonl]}
model: {type: example}
trainer: {num_train_steps: many}
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

Fix: Give a value of the kind that the message names.
"""

from collections.abc import Iterator

from levgen.check.analysis.schema import Kind, problems_of
from levgen.check.files.yaml_file import YamlFile
from levgen.check.rule import Problem, yaml_rule


@yaml_rule
def check(file: YamlFile) -> Iterator[Problem]:
    for _, problem in problems_of(file, Kind.VALUE):
        yield problem
