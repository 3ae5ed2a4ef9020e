"""A key that older versions of Levanter had.

Why: Guides and configurations of 2024 use it; today it is an error that does not say what took its place.

Bad:
```yaml config/example.yaml
data:
  tokenizer: data/tokenizer
  components:
    text:
      source: {type: url, train_urls: [data/train.jsonl]}
model: {type: example, seq_len: 128}
trainer: {num_train_steps: 10}
```

Good:
```yaml config/example.yaml
data:
  tokenizer: data/tokenizer
  components:
    text:
      source: {type: url, train_urls: [data/train.jsonl]}
model: {type: example, max_seq_len: 128}
trainer: {num_train_steps: 10}
```

Fix: Write what the message names; `--fix` does where it is the same value under another name.
"""

from collections.abc import Iterator

from levgen.check.analysis.schema import Kind, problems_of
from levgen.check.files.yaml_file import YamlFile
from levgen.check.finding import Edit
from levgen.check.rule import Problem, yaml_rule


def _rename(file: YamlFile, key: str, span_of: Problem) -> tuple[Edit, ...]:
    """The edit, where the new key stands in the same section and is not there yet."""
    from levgen.training.levanter_keys import RENAMED

    section, _, _ = key.rpartition(".")
    new_section, _, new_name = RENAMED.get(key, "").rpartition(".")
    path = (*section.split("."), new_name) if section else (new_name,)
    if section != new_section or not new_name.isidentifier() or file.entry(*path) is not None:
        return ()
    span = span_of.span
    return (Edit(span.line, span.column, span.end_line, span.end_column, new_name),)


@yaml_rule
def check(file: YamlFile) -> Iterator[Problem]:
    config = file.model_class
    for key, problem in problems_of(file, Kind.OLD):
        section, _, name = key.rpartition(".")
        # A model may have a field of that name.
        if section == "model" and config is not None and name in config.every_field_name():
            continue
        yield Problem(problem.at, problem.message, _rename(file, key, problem))
