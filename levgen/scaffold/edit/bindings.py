"""What the names at the top level of a file stand for."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import libcst as cst
from libcst.helpers import get_full_name_for_node

from levgen.scaffold.edit.source import PythonSource


@dataclass(frozen=True)
class Import:
    """One import: `import MODULE as NAME` where `attribute` is None, else `from MODULE import ATTRIBUTE as NAME`."""

    name: str
    module: str
    attribute: str | None = None

    @property
    def path(self) -> str:
        """What is imported, as a dotted path."""
        return self.module if self.attribute is None else f"{self.module}.{self.attribute}"

    @property
    def alias(self) -> str:
        """The entry of a `from` import: `A`, or `A as B`."""
        return str(self.attribute) if self.name == self.attribute else f"{self.attribute} as {self.name}"

    @property
    def statement(self) -> str:
        if self.attribute is not None:
            return f"from {self.module} import {self.alias}"
        return f"import {self.module}" if self.name == self.module else f"import {self.module} as {self.name}"


@dataclass
class Bindings:
    """Top-level names of a file, those inside a top-level `if` or `try` included."""

    imports: dict[str, Import] = field(default_factory=dict)  # by the name, or `a.b` of a plain `import a.b`
    typing_only: dict[str, Import] = field(default_factory=dict)  # under `if TYPE_CHECKING:`
    stars: set[str] = field(default_factory=set)  # modules of `from m import *`
    statements: dict[str, cst.CSTNode] = field(default_factory=dict)  # name -> class, function or assignment

    def is_bound(self, name: str) -> bool:
        return name in self.statements or name in self.imports or name in self.typing_only

    def names_of(self, path: str) -> list[str]:
        """The names under which the file has what `path` leads to."""
        return [name for name, found in self.imports.items() if found.path == path]


def bindings(source: PythonSource) -> Bindings:
    """The names at the top level of `source`."""
    found = Bindings()
    for statement, typing_only in _statements(source.module.body, False):
        if isinstance(statement, cst.ClassDef | cst.FunctionDef):
            found.statements[statement.name.value] = statement
        elif isinstance(statement, cst.SimpleStatementLine):
            for small in statement.body:
                _bind(small, statement, found, typing_only)
    return found


def imported(statement: cst.BaseSmallStatement) -> Iterator[Import]:
    """The imports that a statement makes; a star has the name `*`."""
    if isinstance(statement, cst.Import):
        for alias in statement.names:
            module = get_full_name_for_node(alias.name) or ""
            yield Import(_as_name(alias) or module, module)
    elif isinstance(statement, cst.ImportFrom):
        module = "." * len(statement.relative) + (get_full_name_for_node(statement.module or "") or "")
        if isinstance(statement.names, cst.ImportStar):
            yield Import("*", module, "*")
            return
        for alias in statement.names:
            attribute = get_full_name_for_node(alias.name) or ""
            yield Import(_as_name(alias) or attribute, module, attribute)


def _statements(body: Iterable[cst.BaseStatement], typing_only: bool) -> Iterator[tuple[cst.BaseStatement, bool]]:
    for statement in body:
        yield statement, typing_only
        if isinstance(statement, cst.If):
            test = get_full_name_for_node(statement.test) or ""
            only = typing_only or test.rpartition(".")[2] == "TYPE_CHECKING"
            yield from _block(statement.body, only)
            if statement.orelse is not None:
                branch = statement.orelse
                yield from (
                    _statements([branch], typing_only)
                    if isinstance(branch, cst.If)
                    else _block(branch.body, typing_only)
                )
        elif isinstance(statement, cst.Try | cst.TryStar):
            parts = [statement, *statement.handlers, statement.orelse, statement.finalbody]
            for part in parts:
                if part is not None:
                    yield from _block(part.body, typing_only)
        elif isinstance(statement, cst.With):
            yield from _block(statement.body, typing_only)


def _block(block: cst.BaseSuite, typing_only: bool) -> Iterator[tuple[cst.BaseStatement, bool]]:
    if isinstance(block, cst.IndentedBlock):
        yield from _statements(block.body, typing_only)
    else:
        small = [statement for statement in block.body if isinstance(statement, cst.BaseSmallStatement)]
        yield cst.SimpleStatementLine(small), typing_only


def _bind(small: cst.BaseSmallStatement, line: cst.CSTNode, found: Bindings, typing_only: bool) -> None:
    for one in imported(small):
        if one.name == "*":
            found.stars.add(one.module)
            continue
        bound = found.typing_only if typing_only else found.imports
        bound[one.name] = one
        package = one.name.partition(".")[0]
        if package != one.name:  # `import a.b` binds `a`
            bound.setdefault(package, Import(package, package))
    targets: list[cst.BaseExpression] = []
    if isinstance(small, cst.Assign):
        targets = [target.target for target in small.targets]
    elif isinstance(small, cst.AnnAssign):
        targets = [small.target]
    for target in targets:
        names = [item.value for item in target.elements] if isinstance(target, cst.Tuple | cst.List) else [target]
        for name in names:
            if isinstance(name, cst.Name):
                found.statements[name.value] = line


def _as_name(alias: cst.ImportAlias) -> str | None:
    return None if alias.asname is None else get_full_name_for_node(alias.asname.name)
