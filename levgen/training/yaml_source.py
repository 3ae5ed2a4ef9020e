"""Reading a YAML mapping together with the line of each key, so that an error can name the line."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from levgen.errors import LevgenError

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a YAML: `line` (None: from the command line), `key`, what it is and what to do."""

    line: int | None
    key: str
    message: str

    def __str__(self) -> str:
        where = "--set" if self.line is None else f"line {self.line}"
        return f"{where}: {self.key}: {self.message}" if self.key else f"{where}: {self.message}"


@dataclass(frozen=True)
class YamlSource:
    """The values of a YAML file and where its keys stand."""

    path: Path
    values: dict[str, Any]
    lines: dict[KeyPath, int]
    problems: list[Problem] = field(default_factory=list)  # repeated keys
    overridden: frozenset[KeyPath] = frozenset()  # set by `--set`

    def line(self, key: KeyPath) -> int | None:
        """The line of `key`, or of the nearest section around it that the file has; None for a key set by `--set`."""
        if key in self.overridden:
            return None
        while key and key not in self.lines:
            key = key[:-1]
        return self.lines.get(key, 1)

    def problem(self, key: KeyPath, message: str) -> Problem:
        """A problem at `key`, with its line."""
        return Problem(self.line(key), ".".join(map(str, key)), message)

    def with_overrides(self, assignments: list[str]) -> "YamlSource":
        """This source with each `trainer.num_train_steps=20` applied; the value is read as YAML.

        Raises:
            LevgenError: an assignment without `=`, a key that goes through a value that is not a mapping.
        """
        values = _copy(self.values)
        keys: set[KeyPath] = set(self.overridden)
        for assignment in assignments:
            dotted, equals, text = assignment.partition("=")
            parts = tuple(dotted.strip().split("."))
            if not equals or not all(parts):
                raise LevgenError(
                    f"--set expects a key and a value, got {assignment!r}",
                    "for example: --set trainer.num_train_steps=20",
                )
            section = values
            for part in parts[:-1]:
                section = section.setdefault(part, {})
                if not isinstance(section, dict):
                    raise LevgenError(f"--set {assignment}: {part!r} holds {section!r}, not a section")
            try:
                section[parts[-1]] = yaml.safe_load(text)
            except yaml.YAMLError as error:
                raise LevgenError(f"--set {assignment}: {text!r} is not a YAML value: {error}") from error
            keys.add(parts)
        return YamlSource(self.path, values, self.lines, self.problems, frozenset(keys))


def read_yaml(path: Path) -> YamlSource:
    """Reads the mapping in the file `path`.

    Raises:
        LevgenError: no such file, not UTF-8, not YAML (with line and column), not a mapping.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise LevgenError(f"no such file: {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise LevgenError(f"{path} can't be read: {error}") from error
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        problems = [] if node is None else _repeated_keys(node)
        values = None if node is None else loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{path}:{mark.line + 1}:{mark.column + 1}" if mark is not None else str(path)
        raise LevgenError(f"{where}: not valid YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise LevgenError(f"{path}: not valid YAML: {error}") from error
    if node is None or not isinstance(values, dict):
        raise LevgenError(
            f"{path}: expected a mapping of sections (data, model, trainer, optimizer), got {type(values).__name__}"
        )
    lines: dict[KeyPath, int] = {}
    _collect_lines(node, (), lines)
    return YamlSource(path, values, lines, problems)


def _copy(value: Any) -> Any:
    """Mappings copied all the way down: setting a key of the copy leaves the original."""
    return {key: _copy(item) for key, item in value.items()} if isinstance(value, dict) else value


def _collect_lines(node: yaml.Node, key: KeyPath, lines: dict[KeyPath, int]) -> None:
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            lines[(*key, name.value)] = name.start_mark.line + 1
            _collect_lines(value, (*key, name.value), lines)
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            lines[(*key, index)] = value.start_mark.line + 1
            _collect_lines(value, (*key, index), lines)


def _repeated_keys(node: yaml.Node, key: str = "") -> list[Problem]:
    """YAML's loader keeps the last of two equal keys without a word."""
    problems: list[Problem] = []
    if isinstance(node, yaml.MappingNode):
        first: dict[str, int] = {}
        for name, value in node.value:
            dotted = f"{key}.{name.value}" if key else str(name.value)
            line = name.start_mark.line + 1
            if name.value in first:
                problems.append(Problem(line, dotted, f"given twice, first at line {first[name.value]}: keep one"))
            first.setdefault(name.value, line)
            problems += _repeated_keys(value, dotted)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            problems += _repeated_keys(value, key)
    return problems
