"""The reference is compared with the weights that it is born with.

Why: A fresh model's biases are 0 and its gains 1, and its logits nearly flat: dropping every bias of a fresh Llama
changes nothing at all, and a wrong rotary layout moves the logits by 6e-3 instead of 7.

Bad:
```python tests/test_example.py
import pytest
from models.example import ExampleMlp

transformers = pytest.importorskip("transformers")


def test_gradients_equal_reference():
    reference = transformers.LlamaForCausalLM(transformers.LlamaConfig(num_hidden_layers=1))
    assert ExampleMlp(reference).grad is None
```

Good:
```python tests/test_example.py
import pytest
from models.example import ExampleMlp
from levgen.runtime.testing import randomize

transformers = pytest.importorskip("transformers")


def test_gradients_equal_reference():
    reference = randomize(transformers.LlamaForCausalLM(transformers.LlamaConfig(num_hidden_layers=1)))
    assert ExampleMlp(reference).grad is None
```

Fix: Give every parameter and float buffer random values: `levgen.runtime.testing.randomize(reference)`.
"""

import ast
import re
from collections.abc import Iterator

from levgen.check.files.names import called, last_name
from levgen.check.files.pytest_file import TestFile
from levgen.check.rule import Problem, test_rule

_RANDOMISED = re.compile(r"normal_\(|uniform_\(|randomi[sz]e|randn|rand_like|load_state_dict|from_pretrained|Ported")


@test_rule
def check(file: TestFile) -> Iterator[Problem]:
    if not file.is_parity_test or _RANDOMISED.search(file.text):
        return
    for call in file.nodes.of(ast.Call):
        name = last_name(call.func)
        from_transformers = file.qualified(call.func).startswith("transformers.")
        fresh = name.endswith("ForCausalLM") or called(call).endswith("ForCausalLM.from_config")
        if fresh and from_transformers:
            yield Problem(call, f"`{name}` keeps the weights it is born with: randomise them")
            return
