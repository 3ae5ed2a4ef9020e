"""A file of tests."""

import ast
import functools
import re
from pathlib import Path

from levgen.check.files.names import dotted
from levgen.check.files.python_file import PythonFile

_PARTS = "Config|Attention|Mlp|MLP|DecoderLayer|Layer|Block|Transformer|Embeddings?|Model|LMHeadModel|ForCausalLM"
_PARITY = ("levgen.runtime.parity", "levgen.runtime.testing")  # they import the reference where it is used
REFERENCES = frozenset({"torch", "transformers"})


class TestFile(PythonFile):
    """A Python file that pytest collects."""

    __test__ = False  # for pytest, which would take the class for a test

    @functools.cached_property
    def tests(self) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
        """The test functions, methods of Test classes included."""
        return [one for one in self.functions if one.name.startswith("test") and not _is_helper(one)]

    @functools.cached_property
    def model_tested(self) -> str | None:
        """The model that it tests: `test_llama.py` imports from a module `llama` and names a `LlamaMlp` or the like."""
        stem = self.path.stem.removeprefix("test_").removesuffix("_test")
        modules = {name.rpartition(".")[0].rpartition(".")[2] for name in self.imports.values()}
        named = {name.rpartition(".")[2] for name in self.imports.values()}
        if not stem or stem not in modules | named:
            return None
        part = re.compile(rf"\b(?i:{re.escape(stem.replace('_', ''))})[0-9]*[A-Z]?\w*?(?:{_PARTS})\b")
        return stem if part.search(self.text) else None

    @functools.cached_property
    def is_parity_test(self) -> bool:
        """Whether it compares a model with torch or transformers."""
        imported = {name.split(".")[0] for name in self.imports.values()}
        if any(name.startswith(_PARITY) for name in self.imports.values()):
            return self.model_tested is not None
        skipped_to = {
            call.args[0].value
            for name, calls in self.calls.items()
            if name.endswith("importorskip")
            for call in calls
            if call.args and isinstance(call.args[0], ast.Constant)
        }
        return self.model_tested is not None and not REFERENCES.isdisjoint(imported | skipped_to)


def _is_helper(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """A fixture or a property whose name happens to begin like a test's."""
    return any("fixture" in dotted(one) or dotted(one).endswith("property") for one in function.decorator_list)


def is_test(path: Path) -> bool:
    """Whether pytest takes the file for tests, by its name."""
    return path.name.startswith("test_") or path.name.endswith("_test.py") or path.name == "conftest.py"
