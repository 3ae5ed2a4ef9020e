"""An axis that is sharded, or the batch, does not divide by the devices it is spread over.

Why: JAX refuses the sharding when the first array is made, minutes after the start.

Bad:
```yaml config/example.yaml
data:
  tokenizer: data/tokenizer
  components:
    text:
      source: {type: url, train_urls: [data/train.jsonl]}
model: {type: example, hidden_dim: 66}
trainer:
  num_train_steps: 10
  train_batch_size: 8
  mesh: {axes: {data: 4}, param_mapping: {embed: data}}
```

Good:
```yaml config/example.yaml
data:
  tokenizer: data/tokenizer
  components:
    text:
      source: {type: url, train_urls: [data/train.jsonl]}
model: {type: example, hidden_dim: 64}
trainer:
  num_train_steps: 10
  train_batch_size: 8
  mesh: {axes: {data: 4}, param_mapping: {embed: data}}
```

Fix: Choose sizes that are multiples, or map the axis to other devices. An axis of -1 takes what is left and is not
checked.
"""

from collections.abc import Iterator
from math import prod
from typing import Any

from levgen.check.analysis.sizes import sizes
from levgen.check.files.yaml_file import Entry, YamlFile
from levgen.check.rule import Problem, yaml_rule

_SIZE_OF = {
    "embed": "hidden_dim",
    "mlp": "intermediate_dim",
    "heads": "num_heads",
    "kv_head": "num_kv_heads",
    "head_size": "head_dim",
}


def _devices(mesh: dict[str, Any], physical: object) -> int:
    """The number of devices that a mapping spreads over, as far as the YAML gives it; 1 for what it leaves open."""
    names = physical if isinstance(physical, list) else [physical]
    axes: dict[str, Any] = {}
    for kind in ("axes", "dcn_axes"):
        given = mesh.get(kind)
        axes |= given if isinstance(given, dict) else {}
    counts = [axes.get(name) for name in names if isinstance(name, str)]
    return prod(count for count in counts if isinstance(count, int) and count > 1)


def _mappings(file: YamlFile) -> Iterator[Entry]:
    for kind in ("shared_mapping", "param_mapping"):
        yield from file.children("trainer", "mesh", kind)


@yaml_rule
def check(file: YamlFile) -> Iterator[Problem]:
    mesh = file.get("trainer", "mesh")
    if not isinstance(mesh, dict):
        return
    known = sizes(file)
    for entry in _mappings(file):
        size, devices = known.get(_SIZE_OF.get(entry.name, entry.name)), _devices(mesh, entry.value)
        if size is not None and size % devices:
            name = _SIZE_OF.get(entry.name, entry.name)
            yield Problem(
                entry.span, f"{name} {size} is no multiple of the {devices} devices that {entry.name!r} is on"
            )
    batch = file.entry("trainer", "train_batch_size")
    mapped = file.get("trainer", "mesh", "compute_mapping", "batch") or ["replica_dcn", "replica", "data"]
    devices = _devices(mesh, mapped)
    if batch is None or file.get("trainer", "allow_nondivisible_batch_size"):
        return
    if isinstance(batch.value, int) and batch.value % devices:
        yield Problem(
            batch.span, f"train_batch_size {batch.value} is no multiple of the {devices} devices of the batch"
        )
