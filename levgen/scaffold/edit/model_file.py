"""Adding a class to a model file: a stub filled, or a new class in its place among the others."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import libcst as cst

from levgen.errors import LevgenError
from levgen.scaffold.edit.bindings import Bindings, bindings
from levgen.scaffold.edit.config_class import ConfigClass, Member
from levgen.scaffold.edit.find_config import find_config
from levgen.scaffold.edit.imports import Imports
from levgen.scaffold.edit.kinds import KINDS
from levgen.scaffold.edit.snippets import Rendered, free_names, reads_of, with_classes
from levgen.scaffold.edit.source import PythonSource, Splice
from levgen.scaffold.edit.stubs import is_stub, losses
from levgen.scaffold.parts import ORDER, class_name

# The order of the classes of a file; a norm stands before what uses it.
_ORDER = ("norm", *ORDER)


@dataclass(frozen=True)
class NewClass:
    """A class to be added: its part, its name in the file, and the rendered file that it is taken from.

    `tested` is what its test reads of the config.
    """

    part: str
    name: str
    rendered: Rendered
    tested: Sequence[str] = ()


@dataclass(frozen=True)
class ModelEdit:
    """A model file with a class more."""

    text: str
    added: tuple[Member, ...]  # to the config
    filled: bool

    @property
    def fields(self) -> list[str]:
        """The fields among what was added to the config."""
        return [member.name for member in self.added if not member.is_property]


class ModelFile:
    """A model file as it stands: its config, its classes, and which of them are stubs.

    Raises LevgenError where the file has no config class that levgen can add to.
    """

    def __init__(self, source: PythonSource, model: str, camel: str) -> None:
        self.source = source
        self.names = bindings(source)
        self.prefix = _prefix(self.names, camel)
        self.config: ConfigClass = find_config(source, self.names, model, self.prefix)

    @property
    def stubs(self) -> tuple[str, ...]:
        """The parts whose class is a stub."""
        return tuple(part for part in ORDER if is_stub(self._class(class_name(part, self.prefix))))

    def has(self, name: str) -> bool:
        """Whether the file has a class called `name`."""
        return isinstance(self._class(name), cst.ClassDef)

    def check_free(self, kind: str, name: str) -> None:
        """Raises LevgenError where `name` is taken by anything but a stub that a module of this kind may fill."""
        part = KINDS[kind].part
        node = self._class(name)
        others = {class_name(other, self.prefix) for other in ORDER if other != part}
        if node is None and not self.names.is_bound(name):
            return
        if is_stub(node) and name not in others:
            return
        where = "" if node is None else f" (line {self.source.line_number(self.source.start(node))})"
        standard = class_name(part, self.prefix)
        words = standard.removeprefix(self.prefix)
        raise LevgenError(
            f"{self.source.shown} has {name} already{where}, and it is no empty stub",
            f"give the new {kind} another name, such as --name {self.prefix}Other{words}, or change {name} by hand",
        )

    def add(self, new: NewClass, reference: str | None, *, force: bool) -> ModelEdit:
        """The file with the class `new`, and its config with what that class reads of it.

        Args:
            reference: the HF config class that the rendered table is for.
            force: fill a stub although lines that a person added to it go.

        Raises LevgenError where that would lose such lines, and where the new class needs what the file can't give.
        """
        imports = Imports(self.source, self.names)
        theirs = class_name(new.part, self.prefix)
        classes = {theirs: new.name, f"{self.prefix}Config": self.config.name}
        code = imports.resolve(with_classes(new.rendered.statements[theirs], classes), new.rendered.imports)
        self._check_siblings(new.name, code, imports)

        rendered_config = _rendered_config(new.rendered, f"{self.prefix}Config")
        missing = self.config.lacks([*reads_of(code, "config", "self.config"), *new.tested], rendered_config.members())
        members = [self._in_style(member, imports, new.rendered) for member in missing]
        fields = [member.name for member in members if not member.is_property]
        entries = self.config.new_entries(fields, rendered_config.table_entries(), reference)
        entries = [_without_braces(imports.resolve("{" + entry + "}", new.rendered.imports)) for entry in entries]

        stub = self._class(new.name)
        placed = self._filled(stub, code, force=force) if isinstance(stub, cst.ClassDef) else self._inserted(new, code)
        splices = [*self.config.add(members), *self.config.add_entries(entries), placed, *imports.splices()]
        return ModelEdit(self.source.spliced(splices), tuple(members), filled=stub is not None)

    def users(self, names: Sequence[str]) -> list[str]:
        """Where a class is a field: `LlamaDecoderLayer.self_attn`, for every field annotated with one of `names`."""
        pattern = re.compile(r"\b(" + "|".join(map(re.escape, names)) + r")\b")
        found = []
        for owner, node in self.names.statements.items():
            for line in node.body.body if isinstance(node, cst.ClassDef) else ():
                for small in line.body if isinstance(line, cst.SimpleStatementLine) else ():
                    if isinstance(small, cst.AnnAssign) and pattern.search(self.source.code(small.annotation)):
                        found.append(f"{owner}.{self.source.code(small.target)}")
        return found

    def _class(self, name: str) -> cst.CSTNode | None:
        return self.names.statements.get(name)

    def _in_style(self, member: Member, imports: Imports, rendered: Rendered) -> Member:
        styled = member.as_method() if self.config.axes_are_methods else member
        return Member(styled.name, imports.resolve(styled.code, rendered.imports), styled.is_property)

    def _check_siblings(self, name: str, code: str, imports: Imports) -> None:
        """Raises LevgenError where `code` needs a class of the model that the file hasn't got."""
        for part, kind in ((kind.part, kind.name) for kind in KINDS.values()):
            sibling = class_name(part, self.prefix)
            if sibling != name and sibling in free_names(code) and not self.names.is_bound(sibling):
                raise LevgenError(
                    f"{name} is made of a {sibling}, which {self.source.shown} doesn't have",
                    f"add that first: levgen add-module {kind}",
                )

    def _filled(self, stub: cst.ClassDef, code: str, *, force: bool) -> Splice:
        lost = losses(self.source, stub, code)
        if lost and not force:
            listed = "\n".join(f"  {loss}" for loss in lost)
            raise LevgenError(
                f"filling {stub.name.value} would lose what the new class hasn't got:\n{listed}",
                "--force fills it all the same; --name adds a class beside it",
            )
        return Splice(self.source.start(stub), self.source.end(stub), code.rstrip("\n"))

    def _inserted(self, new: NewClass, code: str) -> Splice:
        """The class after its kind's own class, or in the order of parts; always after all that it refers to."""
        standard = class_name(new.part, self.prefix)
        earlier = _ORDER[: _ORDER.index(new.part)]
        before = [standard] if self.has(standard) else [class_name(part, self.prefix) for part in earlier]
        wanted = {self.config.name, *before, *free_names(code)}
        nodes = [node for name, node in self.names.statements.items() if name in wanted]
        last = max(nodes, key=self.source.end)
        # A statement inside of an `if` or a `try`: after the whole of that.
        top = [node for node in self.source.module.body if self.source.start(node) <= self.source.start(last)]
        return self.source.insert_after(top[-1], f"\n\n{code}")


def _prefix(names: Bindings, camel: str) -> str:
    """What the names of the model's classes begin with: its own name, or another that config and classes share."""
    classes = [name for name, node in names.statements.items() if isinstance(node, cst.ClassDef)]
    candidates = [camel, *(name.removesuffix("Config") for name in classes if name.endswith("Config"))]
    known = [
        [class_name(part, prefix) for part in ORDER if class_name(part, prefix) in classes] for prefix in candidates
    ]
    return max(zip(candidates, known, strict=True), key=lambda pair: len(pair[1]))[0]


def _rendered_config(rendered: Rendered, name: str) -> ConfigClass:
    node = bindings(rendered.source).statements[name]
    return ConfigClass(rendered.source, cst.ensure_type(node, cst.ClassDef))


def _without_braces(entry: str) -> str:
    return entry[1:-1]
