"""Editing a model's test file: a new test with the helpers that it needs, and marks off tests that can pass now."""

import ast
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

import libcst as cst
from libcst.helpers import get_full_name_for_node

from levgen.errors import LevgenError
from levgen.scaffold.edit.bindings import Import, bindings
from levgen.scaffold.edit.class_body import argument
from levgen.scaffold.edit.imports import Imports
from levgen.scaffold.edit.sequences import append
from levgen.scaffold.edit.snippets import Rendered, free_names
from levgen.scaffold.edit.source import PythonSource, Splice

INPUTS = "_get_random_inputs"
TINY = "TINY"
SEQ = "Seq"
_TO_BE_WRITTEN = "to be written: "


class TestsFile:
    """A test file and the edits to be made to it; `text` makes them."""

    __test__ = False  # nothing for pytest to collect

    def __init__(self, source: PythonSource) -> None:
        self._source = source
        self._names = bindings(source)
        self._imports = Imports(source, self._names)
        self._splices: list[Splice] = []

    def text(self) -> str:
        """The edited source."""
        return self._source.spliced([*self._imports.splices(), *self._splices])

    def has(self, name: str) -> bool:
        """Whether `name` stands for something at the top of the file."""
        return self._names.is_bound(name)

    def inputs(self, *, positions: bool) -> tuple[str, str]:
        """How a test takes apart what `_get_random_inputs` returns, and what it gives to a layer.

        Args:
            positions: whether a layer takes positions.

        Raises LevgenError where the helper doesn't return a tuple of hidden states, a mask and perhaps positions.
        """
        helper = self._names.statements.get(INPUTS)
        count = (3 if positions else 2) if helper is None else _returned(helper)
        if count not in (2, 3):
            raise LevgenError(
                f"{self._source.shown}: expected {INPUTS} to return hidden states, a mask and perhaps positions",
                "rename it: levgen then adds its own",
            )
        if positions:
            return ("x, mask, pos_ids", "x, mask, pos_ids") if count == 3 else ("x, mask", "x, mask, hax.arange(Seq)")
        return ("x, mask" if count == 2 else "x, mask, *_"), "x, mask"

    def length(self) -> int:
        """How long the sequences of the tests are: the size of the axis `Seq`, 64 where the file has none.

        Raises LevgenError where the size isn't a number, written out.
        """
        line = self._names.statements.get(SEQ)
        if line is None:
            return 64
        numbers = [node.evaluated_value for node in _nodes(line) if isinstance(node, cst.Integer)]
        if len(numbers) != 1:
            raise LevgenError(f'{self._source.shown}: expected {SEQ} = Axis("position", NUMBER)')
        return numbers[0]

    def test_of(self, class_name: str) -> str | None:
        """The name of a test that uses the class, in the file or in a class of tests."""
        word = re.compile(rf"\b{re.escape(class_name)}\b")
        for node in _nodes(self._source.module):
            is_test = isinstance(node, cst.FunctionDef) and node.name.value.startswith("test")
            if is_test and word.search(self._source.code(node)):
                return cst.ensure_type(node, cst.FunctionDef).name.value
        return None

    def add_test(self, name: str, rendered: Rendered, imports: Mapping[str, Import]) -> None:
        """Adds the test `name` of `rendered` after the last forward test, and what it needs that isn't there.

        Args:
            imports: what the names of `rendered` are imported from.
        """
        helpers = self._missing_helpers(name, rendered)
        place, last_helper = self._head_end(), 0
        for helper, code in rendered.statements.items():
            if helper in self._names.statements:
                place = max(place, self._after(self._names.statements[helper]))
            elif helper in helpers:
                blank = "\n" * max(1, rendered.spacing[helper])
                self._splices.append(self._source.insert_line(place, blank + self._imports.resolve(code, imports)))
                last_helper = place
        code = self._imports.resolve(rendered.statements[name], imports)
        self._splices.append(self._source.insert_line(max(last_helper, self._last_forward_test()), f"\n\n{code}"))

    def add_to_tiny(self, values: Mapping[str, str], imports: Mapping[str, Import]) -> bool:
        """Gives the small config of the tests the `values` of new fields. False where it isn't a call with keywords."""
        line = self._names.statements.get(TINY)
        small = line.body[0] if isinstance(line, cst.SimpleStatementLine) else None
        call = small.value if isinstance(small, cst.Assign | cst.AnnAssign) else None
        if not isinstance(call, cst.Call) or get_full_name_for_node(call.func) is None:
            return False
        given = {argument.keyword.value for argument in call.args if argument.keyword is not None}
        if not given and call.args:
            return False
        new = [f"{name}={self._imports.resolve(value, imports)}" for name, value in values.items() if name not in given]
        if new:
            self._splices += append(self._source, call.args, self._source.end(call) - 1, new)
        return True

    def drop_marks(self, written: str, stubs: Collection[str]) -> None:
        """Takes the class `written` off the marks of tests that wait for it; a mark that waits for no stub goes."""
        source = self._source
        for node in _nodes(source.module):
            if not isinstance(node, cst.FunctionDef):
                continue
            for decorator in node.decorators:
                reason = _reason(decorator)
                if reason is None or written not in (classes := _waited_for(reason)):
                    continue
                left = [name for name in classes if name in stubs and name != written]
                if left:
                    text = f'"{_TO_BE_WRITTEN}{", ".join(left)}"'
                    self._splices.append(Splice(source.start(reason), source.end(reason), text))
                else:
                    start = source.line_start(source.start(decorator))
                    self._splices.append(Splice(start, source.next_line(source.end(decorator)), ""))

    def _missing_helpers(self, test: str, rendered: Rendered) -> set[str]:
        """What `test` needs of the rendered file's own names, directly or not, and this file hasn't got."""
        missing: set[str] = set()
        waiting = [test]
        while waiting:
            for name in free_names(rendered.statements[waiting.pop()]):
                if name in rendered.statements and name not in missing and not self.has(name):
                    missing.add(name)
                    waiting.append(name)
        return missing

    def _after(self, node: cst.CSTNode) -> int:
        return self._source.next_line(self._source.end(node))

    def _head_end(self) -> int:
        """Where helpers begin: after the docstring and the imports."""
        end = 0
        for index, line in enumerate(self._source.module.body):
            smalls = line.body if isinstance(line, cst.SimpleStatementLine) else ()
            is_docstring = index == 0 and self._source.module.get_docstring() is not None
            if is_docstring or any(isinstance(small, cst.Import | cst.ImportFrom) for small in smalls):
                end = self._after(line)
            elif isinstance(line, cst.FunctionDef | cst.ClassDef):
                break
        return end

    def _last_forward_test(self) -> int:
        tests = [node for name, node in self._names.statements.items() if re.fullmatch(r"test_\w+_forward", name)]
        return max(map(self._after, tests), default=len(self._source.data))


def tiny_values(rendered: Rendered) -> dict[str, str]:
    """The values that the small config of a rendered test file gives to its fields, as source."""
    code = rendered.statements[TINY]
    call = next(node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call))
    return {keyword.arg: ast.get_source_segment(code, keyword.value) or "" for keyword in call.keywords if keyword.arg}


def with_fields(rendered: Rendered, class_name: str, has: Callable[[str], bool]) -> Rendered:
    """`rendered` with only those values in the small config whose fields the config class has."""
    comment = "".join(line for line in rendered.statements[TINY].splitlines(keepends=True) if line.startswith("#"))
    lines = "".join(f"    {name}={value},\n" for name, value in tiny_values(rendered).items() if has(name))
    statements = {**rendered.statements, TINY: f"{comment}{TINY} = {class_name}(\n{lines})\n"}
    return Rendered(rendered.source, statements, rendered.spacing, rendered.imports)


def _returned(helper: cst.CSTNode) -> int:
    """How many values a function returns in a tuple; 0 where that isn't plain to see."""
    returns = [node for node in _nodes(helper) if isinstance(node, cst.Return)]
    value = returns[0].value if len(returns) == 1 else None
    return len(value.elements) if isinstance(value, cst.Tuple) else 0


def _reason(decorator: cst.Decorator) -> cst.BaseExpression | None:
    """The reason of an xfail mark."""
    call = decorator.decorator
    if not isinstance(call, cst.Call) or (get_full_name_for_node(call.func) or "").rpartition(".")[2] != "xfail":
        return None
    return argument(call, "reason", -1)


def _waited_for(reason: cst.BaseExpression) -> Sequence[str]:
    text = reason.evaluated_value if isinstance(reason, cst.SimpleString | cst.ConcatenatedString) else None
    if not isinstance(text, str) or not text.startswith(_TO_BE_WRITTEN):
        return ()
    return text.removeprefix(_TO_BE_WRITTEN).split(", ")


def _nodes(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    yield node
    for child in node.children:
        yield from _nodes(child)
