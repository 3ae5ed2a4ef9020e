"""A class as it stands in source: bases, fields, methods."""

import ast
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from levgen.check.files.names import called, dotted, last_name

if TYPE_CHECKING:
    from levgen.check.files.python_file import PythonFile

# Classes of the frameworks, whose fields and bases are known: their source need not be read.
FRAMEWORK_BASES = frozenset(
    {"LmConfig", "HFCompatConfig", "LmHeadModel", "LmWithHfSerializationMixin", "Module", "LayerNormBase"}
    | {"ModuleWithStateDictSerialization", "Generic", "Protocol", "ABC", "object"}
)

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Field:
    """An annotated name in a class body."""

    name: str
    annotation: ast.expr
    default: ast.expr | None
    node: ast.AnnAssign

    @property
    def static(self) -> bool:
        """Whether it is `eqx.field(static=True)`."""
        return isinstance(self.default, ast.Call) and any(
            one.arg == "static" and isinstance(one.value, ast.Constant) and one.value.value is True
            for one in self.default.keywords
        )


@dataclass(eq=False)
class ClassInfo:
    """One class of one file."""

    file: "PythonFile"
    node: ast.ClassDef

    @property
    def name(self) -> str:
        return self.node.name

    @functools.cached_property
    def base_names(self) -> list[str]:
        """The last part of each base's name, `Generic[...]` parameters dropped."""
        return [name for name in (last_name(base) for base in self.node.bases) if name]

    @functools.cached_property
    def fields(self) -> dict[str, Field]:
        """The class's own annotated names, without ClassVars."""
        found = {}
        for item in self.node.body:
            if (
                isinstance(item, ast.AnnAssign)
                and isinstance(item.target, ast.Name)
                and last_name(item.annotation) != "ClassVar"
            ):
                found[item.target.id] = Field(item.target.id, item.annotation, item.value, item)
        return found

    @functools.cached_property
    def methods(self) -> dict[str, Function]:
        return {item.name: item for item in self.node.body if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef)}

    @functools.cached_property
    def assigned(self) -> dict[str, ast.expr]:
        """Names that the class body assigns and that are no fields, such as `Embed = property(...)`."""
        found = {}
        for item in self.node.body:
            targets = item.targets if isinstance(item, ast.Assign) else []
            if isinstance(item, ast.AnnAssign):  # a ClassVar
                targets = [item.target]
            if isinstance(item, ast.Assign | ast.AnnAssign) and item.value is not None:
                names = [target.id for target in targets if isinstance(target, ast.Name)]
                found.update({name: item.value for name in names if name not in self.fields})
        return found

    @functools.cached_property
    def registered_as(self) -> str | None:
        """`x` of `@LmConfig.register_subclass("x")`."""
        for decorator in self.node.decorator_list:
            if called(decorator).endswith("LmConfig.register_subclass"):
                assert isinstance(decorator, ast.Call)
                first = decorator.args[0] if decorator.args else None
                return first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else None
        return None

    @functools.cached_property
    def dataclass_decorator(self) -> ast.expr | None:
        for decorator in self.node.decorator_list:
            name = called(decorator) or dotted(decorator)
            if name.rpartition(".")[2] == "dataclass":
                return decorator
        return None

    @functools.cached_property
    def near(self) -> tuple["ClassInfo", ...]:
        """The class and its bases in the same folder, nearest first: what is cheap to know."""
        return tuple(self._lineage(far=False))

    @functools.cached_property
    def lineage(self) -> tuple["ClassInfo", ...]:
        """The class and every base whose source can be found, nearest first. The frameworks' own are left out."""
        return tuple(self._lineage(far=True))

    def _lineage(self, *, far: bool) -> Iterator["ClassInfo"]:
        yield self
        seen: list[ClassInfo] = [self]
        queue = [(self.file, name) for name in self.base_names]
        while queue:
            file, name = queue.pop(0)
            base = None if name in FRAMEWORK_BASES else file.project.find_class(file, name, far=far)
            if base is not None and base not in seen:
                seen.append(base)
                yield base
                queue += [(base.file, one) for one in base.base_names]

    def unresolved_bases(self) -> set[str]:
        """Names of bases, direct or further up, that are no framework's and whose source cannot be found."""
        return {
            name
            for one in self.lineage
            for name in one.base_names
            if name not in FRAMEWORK_BASES and one.file.project.find_class(one.file, name, far=True) is None
        }

    @functools.cached_property
    def all_fields(self) -> dict[str, Field]:
        """Fields of the class and of its bases in the same folder; the nearest definition wins."""
        return {name: field for one in reversed(self.near) for name, field in one.fields.items()}

    def every_field_name(self) -> set[str]:
        """Names of the fields of the class and of every base that can be found."""
        return {name for one in self.lineage for name in one.fields}

    def descends_from(self, names: frozenset[str], *, far: bool = False) -> bool:
        """Whether one of these names is the class itself or a base, direct or further up."""
        lineage = self.lineage if far else self.near
        return any(one.name in names or not names.isdisjoint(one.base_names) for one in lineage)
