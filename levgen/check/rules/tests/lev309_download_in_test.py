"""A test downloads from a hub.

Why: Offline it fails, and online it tests whatever the hub holds that day, after a download of gigabytes.

Bad:
```python tests/test_example.py
import pytest

transformers = pytest.importorskip("transformers")


def test_tokenizer_has_words():
    tokenizer = transformers.AutoTokenizer.from_pretrained("gpt2-org/gpt2")
    assert len(tokenizer) > 0
```

Good:
```python tests/test_example.py
import pytest

transformers = pytest.importorskip("transformers")


def test_tokenizer_has_words(tmp_path):
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert len(tokenizer) > 0
```

Fix: Build what the test needs, tiny and random; mark a test that is about a real checkpoint (`slow`, `skipif`).
"""

import ast
import re
from collections.abc import Iterator

from levgen.check.files.names import constant, last_name
from levgen.check.files.pytest_file import TestFile
from levgen.check.rule import Problem, test_rule

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_MARKED = re.compile(r"skip|slow|mark|network|online|entry|local_files_only", re.IGNORECASE)


@test_rule
def check(file: TestFile) -> Iterator[Problem]:
    for call in file.nodes.of(ast.Call):
        if last_name(call.func) not in {"from_pretrained", "snapshot_download", "hf_hub_download"} or not call.args:
            continue
        name = constant(call.args[0])
        if not isinstance(name, str) or not _HUB_NAME.fullmatch(name):
            continue
        test = file.nodes.enclosing(call, ast.FunctionDef)
        decorators = " ".join(ast.unparse(one) for one in getattr(test, "decorator_list", []))
        if not _MARKED.search(decorators + ast.unparse(call)) and "pytestmark" not in file.text:
            yield Problem(call, f"downloads {name!r}: build it tiny, or mark the test")
