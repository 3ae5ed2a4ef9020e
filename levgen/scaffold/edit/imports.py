"""The imports that added code needs: found under the names that a file has for them, or merged into its own."""

from collections.abc import Mapping

import libcst as cst

from levgen.errors import LevgenError
from levgen.scaffold.edit.bindings import Bindings, Import, imported
from levgen.scaffold.edit.sequences import append
from levgen.scaffold.edit.snippets import free_names, names_in_values, renamed
from levgen.scaffold.edit.source import PythonSource, Splice


class Imports:
    """The imports of a file, and those to be added to it."""

    def __init__(self, source: PythonSource, names: Bindings) -> None:
        self._source = source
        self._names = names
        self._added: dict[str, Import] = {}

    def resolve(self, code: str, known: Mapping[str, Import]) -> str:
        """`code` in the names of this file; what the file doesn't import is noted, to be added.

        `known` are the imports of the file that `code` was written for. Raises LevgenError where a name that would be
        imported stands for something else here.
        """
        needed = [known[name] for name in sorted(free_names(code)) if name in known]
        expressions = {need.name: self._expression(need, code) for need in needed}
        return renamed(code, {name: other for name, other in expressions.items() if name != other})

    def splices(self) -> list[Splice]:
        """The edits that add what was noted."""
        merged: dict[cst.ImportFrom, list[str]] = {}
        statements = []
        for need in self._added.values():
            statement = self._from_statement(need.module) if need.attribute is not None else None
            if statement is None:
                statements.append(need.statement)
            else:
                merged.setdefault(statement, []).append(need.alias)
        splices = [splice for statement, aliases in merged.items() for splice in self._merge(statement, aliases)]
        return splices + ([self._insert(statements)] if statements else [])

    def _expression(self, need: Import, code: str) -> str:
        names = self._names
        same = names.names_of(need.path)
        if same:
            return need.name if need.name in same else same[0]
        if need.name in self._added and self._added[need.name] == need:
            return need.name
        if need.name in names.typing_only:
            if self._defers_annotations and need.name not in names_in_values(code):
                return need.name
            hint = f"import {need.name} outside of `if TYPE_CHECKING:`"
            raise LevgenError(
                f"{self._source.shown} imports {need.name} for type checkers only, and new code needs it", hint
            )
        if names.is_bound(need.name):
            raise LevgenError(
                f"{self._source.shown} has a {need.name} of its own, and new code needs that of {need.module}",
                f"rename yours, or import {need.path} under another name, which levgen then uses",
            )
        if need.attribute is not None and need.module in names.stars:
            return need.name
        if need.attribute is not None and self._from_statement(need.module) is None:
            module = names.names_of(need.module)
            if module:
                return f"{module[0]}.{need.attribute}"
        self._added[need.name] = need
        return need.name

    @property
    def _defers_annotations(self) -> bool:
        return bool(self._names.names_of("__future__.annotations"))

    def _head(self) -> list[cst.SimpleStatementLine]:
        """The simple statements before the first class or function."""
        head = []
        for statement in self._source.module.body:
            if isinstance(statement, cst.ClassDef | cst.FunctionDef):
                break
            if isinstance(statement, cst.SimpleStatementLine):
                head.append(statement)
        return head

    def _from_statement(self, module: str) -> cst.ImportFrom | None:
        """The statement of the file that imports from `module`."""
        for line in self._head():
            for small in line.body:
                if isinstance(small, cst.ImportFrom) and [one.module for one in imported(small)][:1] == [module]:
                    return None if isinstance(small.names, cst.ImportStar) else small
        return None

    def _merge(self, statement: cst.ImportFrom, aliases: list[str]) -> list[Splice]:
        source, items = self._source, statement.names
        if isinstance(items, cst.ImportStar):
            return []
        closing = source.end(statement) if statement.rpar is None else source.end(statement.rpar) - 1
        return append(source, items, closing, aliases)

    def _insert(self, statements: list[str]) -> Splice:
        """New statements after the last import, or after the docstring where there is none."""
        source = self._source
        text = "".join(f"{statement}\n" for statement in statements)
        head = self._head()
        imports = [line for line in head if any(isinstance(small, cst.Import | cst.ImportFrom) for small in line.body)]
        if imports:
            return source.insert_after(imports[-1], text)
        if source.module.get_docstring() is not None:
            return source.insert_after(source.module.body[0], f"\n{text}")
        body = source.module.body
        return source.insert_line(source.line_start(source.start(body[0])) if body else len(source.data), f"{text}\n")
