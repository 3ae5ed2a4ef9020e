"""A Python file, parsed once."""

import ast
import functools
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from levgen.check.files.classes import ClassInfo
from levgen.check.files.names import called, dotted
from levgen.check.files.node_index import NodeIndex

if TYPE_CHECKING:
    from levgen.check.files.project import Project


class PythonFile:
    """Source, syntax tree and index of one Python file. `Project.parse` makes it."""

    def __init__(self, path: Path, place: str, text: str, project: "Project", tree: ast.Module) -> None:
        self.path = path
        self.place = place  # absolute
        self.text = text
        self.project = project
        self.tree = tree

    @functools.cached_property
    def nodes(self) -> NodeIndex:
        return NodeIndex(self.tree)

    @functools.cached_property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    @functools.cached_property
    def classes(self) -> dict[str, ClassInfo]:
        """The classes at the top level of the file, by name."""
        return {node.name: ClassInfo(self, node) for node in self.tree.body if isinstance(node, ast.ClassDef)}

    @functools.cached_property
    def imports(self) -> dict[str, str]:
        """What each imported name stands for: `{"hnn": "haliax.nn", "Linear": "haliax.nn.Linear"}`."""
        found: dict[str, str] = {}
        for plain in self.nodes.of(ast.Import):
            for alias in plain.names:
                name = alias.asname or alias.name.partition(".")[0]
                found[name] = alias.name if alias.asname else name
        for node in self.nodes.of(ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            for alias in node.names:
                joined = module + alias.name if module.endswith(".") else f"{module}.{alias.name}"
                found[alias.asname or alias.name] = joined
        return found

    @functools.cached_property
    def modules_imported(self) -> frozenset[str]:
        """Every part of every dotted name that is imported: `levanter`, `models`, `llama`, `LlamaConfig`."""
        return frozenset(part for name in self.imports.values() for part in name.split("."))

    @functools.cached_property
    def calls(self) -> dict[str, list[ast.Call]]:
        """Every call by the qualified name of what is called; those of no plain name are under their last part."""
        found: dict[str, list[ast.Call]] = {}
        for call in self.nodes.of(ast.Call):
            name = self.qualified(call.func) or called(call)
            found.setdefault(name, []).append(call)
        return found

    def calls_of(self, names: Iterable[str]) -> list[ast.Call]:
        """The calls of these qualified names, in the order of the source."""
        found = [call for name in names for call in self.calls.get(name, ())]
        return sorted(found, key=lambda call: (call.lineno, call.col_offset))

    def qualified(self, node: ast.AST | None) -> str:
        """The dotted name of an expression with its first part replaced by what was imported under it.

        `hnn.Linear.init` is `haliax.nn.Linear.init` after `import haliax.nn as hnn`.
        """
        name = dotted(node)
        head, dot, rest = name.partition(".")
        return self.imports.get(head, head) + dot + rest

    @functools.cached_property
    def functions(self) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
        """Every function and method, nested ones included."""
        return [*self.nodes.of(ast.FunctionDef), *self.nodes.of(ast.AsyncFunctionDef)]
