"""A training configuration in YAML, with the line of every key."""

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from levgen.check.rule import Span

if TYPE_CHECKING:
    import yaml

    from levgen.check.files.classes import ClassInfo
    from levgen.check.files.project import Project


# Aliases may expand a short text without end.
_MOST_ENTRIES = 20_000


class YamlSyntaxError(Exception):
    """The text is no YAML; `span` is where."""

    def __init__(self, message: str, span: Span) -> None:
        super().__init__(message)
        self.span = span


@dataclass(frozen=True)
class Entry:
    """One key of a mapping: its path from the top, its place, and its value as Python data."""

    path: tuple[str, ...]
    span: Span
    value: Any
    value_span: Span

    @property
    def name(self) -> str:
        return self.path[-1]

    @property
    def dotted(self) -> str:
        return ".".join(self.path)


def _span(start: "yaml.Mark", end: "yaml.Mark") -> Span:
    return Span(start.line + 1, start.column, end.line + 1, end.column)


class YamlFile:
    """One YAML file, composed once.

    Raises (from the constructor):
        YamlSyntaxError: the text is no YAML, or no single document.
    """

    def __init__(self, path: Path, text: str, project: "Project") -> None:
        import yaml

        self.path = path
        self.text = text
        self.project = project
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
        self.entries: list[Entry] = []
        self.duplicates: list[Entry] = []
        self.data: Any = None
        try:
            node = loader.get_single_node()
            if node is not None:
                self._construct = loader.construct_object
                self.data = self._read(node, ())
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line, column = (mark.line + 1, mark.column) if mark else (1, 0)
            raise YamlSyntaxError(error.problem or str(error), Span(line, column, line, column + 1)) from error
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise YamlSyntaxError(str(error), Span(1, 0, 1, 1)) from error
        finally:
            loader.dispose()

    @functools.cached_property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    def _read(self, node: "yaml.Node", path: tuple[str, ...]) -> Any:
        import yaml

        if isinstance(node, yaml.MappingNode):
            read: dict[str, Any] = {}
            own: list[Entry] = []
            for key_node, value_node in node.value:
                if len(self.entries) > _MOST_ENTRIES:
                    raise ValueError(f"more than {_MOST_ENTRIES} keys once its aliases are expanded")
                if key_node.tag == "tag:yaml.org,2002:merge":
                    merged = self._read(value_node, path)
                    for mapping in merged if isinstance(merged, list) else [merged]:
                        read = {**mapping, **read} if isinstance(mapping, dict) else read
                    continue
                key = str(self._construct(key_node, deep=True))
                value = self._read(value_node, (*path, key))
                entry = Entry(
                    (*path, key),
                    _span(key_node.start_mark, key_node.end_mark),
                    value,
                    _span(value_node.start_mark, value_node.end_mark),
                )
                if any(key == other.path[-1] for other in own):
                    self.duplicates.append(entry)
                own.append(entry)
                read[key] = value
                self.entries.append(entry)
            return read
        if isinstance(node, yaml.SequenceNode):
            return [self._read(item, (*path, str(number))) for number, item in enumerate(node.value)]
        return self._construct(node, deep=True)

    def get(self, *path: str) -> Any:
        """The value at a path, or None."""
        value = self.data
        for name in path:
            if not isinstance(value, dict) or name not in value:
                return None
            value = value[name]
        return value

    def entry(self, *path: str) -> Entry | None:
        """The key at a path."""
        return next((one for one in self.entries if one.path == path), None)

    def children(self, *path: str) -> Iterator[Entry]:
        """The keys directly below a path, in the order of the file."""
        return (
            one
            for one in sorted(self.entries, key=lambda one: (one.span.line, one.span.column))
            if one.path[:-1] == path
        )

    @property
    def is_training_config(self) -> bool:
        """Whether it describes a training run: a `model` section beside a trainer, data or an optimizer."""
        return (
            isinstance(self.data, dict)
            and "model" in self.data
            and not self.data.keys().isdisjoint({"trainer", "data", "optimizer"})
        )

    @functools.cached_property
    def model_class(self) -> "ClassInfo | None":
        """The config class in the project's model files that is registered as `model.type`."""
        wanted = self.get("model", "type")
        for file in self.project.model_files:
            for config in file.configs:
                if wanted is not None and config.registered_as == wanted:
                    return config
        return None
