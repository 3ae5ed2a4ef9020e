"""The config class of a model file: what it has, and the fields, axes and table entries that are added to it."""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import libcst as cst

from levgen.errors import LevgenError
from levgen.scaffold.edit.class_body import argument, bound_names, is_axis, is_field, is_property
from levgen.scaffold.edit.sequences import append
from levgen.scaffold.edit.snippets import reads_of
from levgen.scaffold.edit.source import PythonSource, Splice

# What LmConfig has itself.
_INHERITED = frozenset(["max_seq_len", "Pos", "KeyPos", "max_Pos"])


@dataclass(frozen=True)
class Member:
    """A field, or a property such as an axis, of a config: whole lines, without the indent of the class."""

    name: str
    code: str
    is_property: bool

    def as_method(self) -> "Member":
        """A property as `@property` and `def`, where it is an axis written as a lambda."""
        if "property(lambda self: " not in self.code:
            return self
        made = self.code.partition("lambda self: ")[2].rstrip().removesuffix(")")
        return Member(self.name, f"@property\ndef {self.name}(self) -> Axis:\n    return {made}\n", True)


class ConfigClass:
    """A config class as it stands in `source`; `bases` are its base classes in the same file."""

    def __init__(self, source: PythonSource, node: cst.ClassDef, bases: Sequence[cst.ClassDef] = ()) -> None:
        if not isinstance(node.body, cst.IndentedBlock):
            hint = "put it on lines of its own first"
            raise LevgenError(f"{source.shown}: the body of {node.name.value} is on the line of its name", hint)
        self.source = source
        self.name = node.name.value
        self._body = node.body.body
        self._has_docstring = node.get_docstring() is not None
        self._names = frozenset(name for one in (node, *bases) for line in one.body.body for name in bound_names(line))

    def has(self, name: str) -> bool:
        """Whether the config has a field, a property or anything else called `name`."""
        return name in self._names or name in _INHERITED

    def lacks(self, reads: Iterable[str], known: Mapping[str, Member]) -> list[Member]:
        """What the config hasn't got of `reads`, and of what those read in turn: of `known`, in its order.

        Raises LevgenError for a name that neither the config nor `known` has.
        """
        wanted: set[str] = set()
        waiting = list(reads)
        while waiting:
            name = waiting.pop()
            if name in wanted or self.has(name):
                continue
            if name not in known:
                hint = f"add a field or a property {name} to {self.name} first"
                raise LevgenError(f"{self.source.shown}: {self.name} has no {name}, which the new code reads", hint)
            wanted.add(name)
            waiting += reads_of(known[name].code, "self")
        return [member for name, member in known.items() if name in wanted]

    def members(self) -> dict[str, Member]:
        """The config's own fields and properties by name, in order."""
        return {
            name: Member(name, textwrap.dedent(" " * 4 + self.source.code(line)) + "\n", is_property(line))
            for line in self._body
            if is_field(line) or is_property(line)
            for name in bound_names(line)
        }

    def number(self, name: str) -> bool | int | float | None:
        """The default of the field `name` where it is a number or a truth value, written out."""
        for line in filter(is_field, self._body):
            small = cst.ensure_type(line, cst.SimpleStatementLine).body[0]
            value = small.value if isinstance(small, cst.AnnAssign) and bound_names(line) == [name] else None
            if isinstance(value, cst.Name) and value.value in ("True", "False"):
                return value.value == "True"
            if isinstance(value, cst.Integer | cst.Float):
                return value.evaluated_value
        return None

    @property
    def required(self) -> set[str]:
        """The fields without a default."""
        fields = (cst.ensure_type(line, cst.SimpleStatementLine) for line in self._body if is_field(line))
        return {
            name
            for line in fields
            for name in bound_names(line)
            if all(isinstance(small, cst.AnnAssign) and small.value is None for small in line.body)
        }

    @property
    def axes_are_methods(self) -> bool:
        """Whether axes are written as `@property` and `def` here."""
        axes = [line for line in self._body if is_axis(line)]
        return bool(axes) and isinstance(axes[-1], cst.FunctionDef)

    def add(self, members: Sequence[Member]) -> list[Splice]:
        """The edits that put fields after the last field and properties after the last axis."""
        fields = [member.code for member in members if not member.is_property]
        properties = [member.code for member in members if member.is_property]
        last_field = next((line for line in reversed(self._body) if is_field(line)), None)
        last_axis = next((line for line in reversed(self._body) if is_axis(line)), None)
        head = last_field or (self._body[0] if self._has_docstring else None)
        splices = []
        if fields:
            splices.append(self._insert(head, "".join(fields), blank=last_field is None))
        if properties:
            text = "".join(f"\n{code}" if code.startswith("@") else code for code in properties)
            blank = last_axis is None and not text.startswith("\n")
            splices.append(self._insert(last_axis or head, text, blank=blank))
        return splices

    def table_entries(self) -> dict[str, str]:
        """The entries of the table `hf_fields` by field, as source."""
        call = self._table()
        table = None if call is None else argument(call, "fields", 1)
        elements = table.elements if isinstance(table, cst.Dict) else ()
        return {
            self.source.code(element.key).strip("\"'"): self.source.code(element)
            for element in elements
            if isinstance(element, cst.DictElement)
        }

    def new_entries(self, names: Sequence[str], known: Mapping[str, str], reference: str | None) -> list[str]:
        """What the table of HF fields gets for the new fields `names`; nothing where there is no table.

        In a table without a reference, `HfFields(None, ...)`, a field goes by its own name. In that of the HF class
        `reference` it has its entry of `known`; a field without one is nothing that HF has, and stays out.
        """
        call = self._table()
        if call is None:
            return []
        config_class = argument(call, "config_class", 0)
        if isinstance(config_class, cst.Name) and config_class.value == "None":
            return [f'"{name}": "{name}"' for name in names]
        if isinstance(config_class, cst.SimpleString) and config_class.evaluated_value == reference:
            return [known[name] for name in names if name in known]
        return []

    def add_entries(self, entries: Sequence[str]) -> list[Splice]:
        """The edits that append `entries` to the table. Raises LevgenError for one that is not a dict written out."""
        call = self._table()
        if not entries or call is None:
            return []
        table = argument(call, "fields", 1)
        if not isinstance(table, cst.Dict):
            hint = f"add them to {self.name} and to its table first: {', '.join(entries)}"
            raise LevgenError(f"{self.source.shown}: the table hf_fields of {self.name} is no dict written out", hint)
        return append(self.source, table.elements, self.source.end(table.rbrace) - 1, entries)

    def _table(self) -> cst.Call | None:
        for line in self._body:
            if isinstance(line, cst.SimpleStatementLine) and "hf_fields" in bound_names(line):
                value = getattr(line.body[0], "value", None)
                if isinstance(value, cst.Call):
                    return value
                raise LevgenError(f"{self.source.shown}: expected hf_fields of {self.name} to be an HfFields(...)")
        return None

    def _insert(self, after: cst.CSTNode | None, code: str, *, blank: bool) -> Splice:
        first = self._body[0]
        indent = self.source.indent(self.source.start(first))
        text = "".join(f"{indent}{line}" if line.strip() else line for line in code.splitlines(keepends=True))
        if after is None:
            return self.source.insert_line(self.source.line_start(self.source.start(first)), f"{text}\n")
        return self.source.insert_after(after, f"\n{text}" if blank else text)
