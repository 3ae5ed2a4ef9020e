"""A YAML file that does not parse.

Why: No run can start from it, and no other rule can read it.

Bad:
```yaml config/example.yaml
data:
  tokenizer: data/tokenizer
  components:
    text:
      source: {type: url, train_urls: [data/train.jsonl]}
model: {type: example
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

Fix: Mend the syntax at the place named.
"""

from levgen.check.rule import runner_rule

check = runner_rule
