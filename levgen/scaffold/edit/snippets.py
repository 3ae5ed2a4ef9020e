"""Code that the templates wrote, taken apart: a statement at a time, with the names that it needs."""

import ast
import builtins
import re
from collections.abc import Mapping
from dataclasses import dataclass

import libcst as cst

from levgen.scaffold.edit.bindings import Import, bindings
from levgen.scaffold.edit.source import PythonSource


@dataclass(frozen=True)
class Rendered:
    """A rendered file as statements to take from.

    `statements` holds the source of each top-level class, function and assignment by name, in order, with the comment
    lines right above it; `spacing` the number of blank lines above that; `imports` the file's imports by name.
    """

    source: PythonSource
    statements: dict[str, str]
    spacing: dict[str, int]
    imports: dict[str, Import]

    @property
    def last_function(self) -> str:
        """The name of the function at the end of the file."""
        return cst.ensure_type(self.source.module.body[-1], cst.FunctionDef).name.value


def take_apart(text: str) -> Rendered:
    """The statements and imports of a file that levgen rendered."""
    source = PythonSource(text, "a rendered file")
    names = bindings(source)
    statements, spacing = {}, {}
    for name, node in names.statements.items():
        start = _start_with_comment(source, node)
        above = source.between(0, start)
        statements[name] = source.between(start, source.end(node)) + "\n"
        spacing[name] = len(above) - len(above.rstrip("\n")) - 1
    return Rendered(source, statements, spacing, names.imports)


def _start_with_comment(source: PythonSource, node: cst.CSTNode) -> int:
    """Where the comment lines begin that touch `node` from above; its own line where there are none."""
    start = source.line_start(source.start(node))
    while start:
        above = source.line_start(start - 1)
        if not source.between(above, start).startswith("#"):
            break
        start = above
    return start


def free_names(code: str) -> set[str]:
    """The names that `code` reads and doesn't bind itself, builtins apart."""
    tree = ast.parse(code)
    read: set[str] = set()
    bound: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            (read if isinstance(node.ctx, ast.Load) else bound).add(node.id)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            bound.add(node.name)
    return {name for name in read - bound if not hasattr(builtins, name)}


def names_in_values(code: str) -> set[str]:
    """The names of `code` that are read when it runs: all but those in annotations alone."""
    names: set[str] = set()

    class Values(ast.NodeVisitor):
        def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
            if node.value is not None:
                self.visit(node.value)

        def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
            defaults = [default for default in (*node.args.defaults, *node.args.kw_defaults) if default is not None]
            for child in (*node.decorator_list, *defaults, *node.body):
                self.visit(child)

        def visit_Name(self, node: ast.Name) -> None:
            names.add(node.id)

    Values().visit(ast.parse(code))
    return names


def reads_of(code: str, *owners: str) -> list[str]:
    """What `code` reads of `owners` (`config`, `self.config`), by name, in order."""
    found = [
        node
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in owners
    ]
    ordered = sorted(found, key=lambda node: (node.lineno, node.col_offset))
    return list(dict.fromkeys(node.attr for node in ordered))


def renamed(code: str, names: Mapping[str, str]) -> str:
    """`code` with other names for what it imports: `names` maps each to a name, or to a dotted one."""
    places = [
        (node.lineno, node.col_offset, node.id)
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Name) and node.id in names
    ]
    lines = [line.encode("utf-8") for line in code.splitlines(keepends=True)]
    for line, column, name in sorted(places, reverse=True):
        before = lines[line - 1]
        lines[line - 1] = before[:column] + names[name].encode() + before[column + len(name.encode()) :]
    return b"".join(lines).decode("utf-8")


def with_classes(code: str, names: Mapping[str, str]) -> str:
    """`code` with other names for classes, also where they stand in quotes."""
    if not names:
        return code
    pattern = re.compile(r"\b(" + "|".join(map(re.escape, names)) + r")\b")
    return pattern.sub(lambda match: names[match[1]], code)
