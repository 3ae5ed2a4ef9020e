"""How a config class goes to and from Hugging Face's: a hand-written pair of methods, or an HfFields table."""

import ast
import functools
from collections.abc import Iterator
from dataclasses import dataclass

from levgen.check.analysis.reads import attributes_read
from levgen.check.files.classes import ClassInfo, Function
from levgen.check.files.names import called, has_spread, keyword, last_name, string_pairs
from levgen.check.files.python_file import PythonFile

# Fields that say how a model is run or where its files are, not what it computes: no HF config holds them.
RUN_TIME_FIELDS = frozenset(
    {"gradient_checkpointing", "scan_layers", "attn_backend", "flash_attention_block_size", "upcast_attn"}
    | {"use_flash_attention", "reference_checkpoint", "tokenizer", "cross_entropy_block_size"}
)


@dataclass(eq=False)
class HandWritten:
    """A config class's own `from_hf_config` and `to_hf_config`."""

    config: ClassInfo
    reading: Function
    writing: Function

    @functools.cached_property
    def constructions(self) -> list[ast.Call]:
        """Calls in `from_hf_config` that build the config: `cls(...)`, `LlamaConfig(...)`, `replace(...)`."""
        names = {"cls", "replace", self.config.name}
        return [call for call in self.config.file.nodes.within(self.reading, ast.Call) if last_name(call.func) in names]

    @functools.cached_property
    def complete(self) -> bool:
        """Whether the source shows all that is mapped: no `**kwargs` in the construction, no call of `super()`."""
        calls_super = any(
            called(call) == "super"
            for method in (self.reading, self.writing)
            for call in self.config.file.nodes.within(method, ast.Call)
        )
        return bool(self.constructions) and not calls_super and not any(map(has_spread, self.constructions))

    @functools.cached_property
    def fields_read(self) -> dict[str, ast.keyword]:
        """Our fields that `from_hf_config` fills."""
        return {one.arg: one for call in self.constructions for one in call.keywords if one.arg is not None}

    @functools.cached_property
    def names_mentioned_in_writing(self) -> set[str]:
        """Attributes that `to_hf_config` reads, by itself or through members of the config that it uses."""
        return _through_members(self.config, attributes_read(self.config.file, self.writing))

    @functools.cached_property
    def names_mentioned_in_reading(self) -> set[str]:
        """Names of our fields that `from_hf_config` mentions."""
        return set(self.fields_read)

    def written(self) -> Iterator[tuple[str, ast.keyword]]:
        """Our fields that stand as `hf_name=self.field...` in `to_hf_config`, with that keyword."""
        file = self.config.file
        for call in file.nodes.within(self.writing, ast.Call):
            for one in call.keywords:
                if one.arg is None:
                    continue
                for name in file.nodes.within(one.value, ast.Attribute):
                    if isinstance(name.value, ast.Name) and name.value.id == "self":
                        yield name.attr, one


def _through_members(config: ClassInfo, names: set[str]) -> set[str]:
    seen: set[str] = set()
    queue = list(names)
    while queue:
        name = queue.pop()
        if name in seen:
            continue
        seen.add(name)
        for one in config.near:
            member: ast.AST | None = one.methods.get(name) or one.assigned.get(name)
            if member is not None:
                queue += attributes_read(one.file, member)
                break
    return seen


def hand_written(config: ClassInfo) -> HandWritten | None:
    """The class's own pair, if it writes both."""
    reading, writing = config.methods.get("from_hf_config"), config.methods.get("to_hf_config")
    return HandWritten(config, reading, writing) if reading is not None and writing is not None else None


def hf_methods(config: ClassInfo) -> Iterator[Function]:
    """The class's own methods that convert."""
    for name in ("from_hf_config", "to_hf_config"):
        if name in config.methods:
            yield config.methods[name]


@dataclass(eq=False)
class Table:
    """`hf_fields = HfFields(...)` in a config class."""

    file: PythonFile
    call: ast.Call

    @property
    def _fields(self) -> ast.expr | None:
        return keyword(self.call, "fields") or (self.call.args[1] if len(self.call.args) > 1 else None)

    @property
    def readable(self) -> bool:
        """Whether the fields stand in the source as one dict of strings."""
        fields = self._fields
        return isinstance(fields, ast.Dict) and len(list(string_pairs(fields))) == len(fields.keys)

    def fields(self) -> Iterator[tuple[ast.Constant, ast.expr]]:
        return string_pairs(self._fields)

    def hf_names(self) -> Iterator[tuple[str, ast.Constant]]:
        """Each HF name with the key of the field that is mapped to it."""
        for ours, theirs in self.fields():
            if isinstance(theirs, ast.Call):
                theirs = keyword(theirs, "name") or (theirs.args[0] if theirs.args else theirs)
            if isinstance(theirs, ast.Constant) and isinstance(theirs.value, str):
                yield theirs.value, ours

    def other(self, name: str) -> Iterator[tuple[ast.Constant, ast.expr]]:
        """The pairs of `fixed` or `ignored`."""
        return string_pairs(keyword(self.call, name))


def table(config: ClassInfo) -> Table | None:
    value = config.assigned.get("hf_fields")
    if isinstance(value, ast.Call) and last_name(value.func) == "HfFields":
        return Table(config.file, value)
    return None
