"""Checking a training YAML: every problem at once, each with its line. Needs pydantic and yaml only."""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args, get_origin

from pydantic import BaseModel, ValidationError

from levgen.errors import LevgenError, did_you_mean
from levgen.training.levanter_keys import LEVANTER_ONLY, LEVANTER_TYPES, RENAMED, SECTION_NOW
from levgen.training.schema import TrainConfig, active_components
from levgen.training.sections import SERVED
from levgen.training.yaml_source import KeyPath, Problem, YamlSource, read_yaml

Engine: TypeAlias = Literal["local", "levanter"]


@dataclass(frozen=True)
class Loaded:
    """A checked configuration and the file it came from, for errors that only the model's class can find."""

    config: TrainConfig
    source: YamlSource


def check_yaml(path: Path, *, engine: Engine = "levanter") -> list[Problem]:
    """Every problem of the YAML `path`, in the order of its lines.

    With `engine="levanter"` what only Levanter has is fine; with `"local"` it is a problem that says so.

    Raises:
        LevgenError: the file can't be read as a YAML mapping at all.
    """
    return check(read_yaml(path), engine)[1]


def load(path: Path, *, overrides: list[str] | None = None) -> Loaded:
    """The configuration in `path` for the local engine, with `overrides` such as `trainer.num_train_steps=20`.

    Raises:
        LevgenError: all problems of the file, with lines.
    """
    source = read_yaml(path).with_overrides(overrides or [])
    config, problems = check(source, "local")
    if config is None or problems:
        raise problems_error(path, problems)
    return Loaded(config, source)


def problems_error(path: Path, problems: list[Problem]) -> LevgenError:
    """One error that lists `problems` of the file `path`."""
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    return LevgenError("\n".join([f"{path} has {count}:", *(f"  {problem}" for problem in problems)]))


def check(source: YamlSource, engine: Engine) -> tuple[TrainConfig | None, list[Problem]]:
    """The configuration in `source`, None where it has none that the local engine can read, and every problem."""
    keys = _KeyCheck(source, engine)
    problems = [*source.problems, *keys.problems]

    def report(key: KeyPath, message: str) -> None:
        problems.append(source.problem(key, message))

    config = None
    try:
        config = TrainConfig.model_validate(keys.values)
    except ValidationError as error:
        for item in error.errors():
            key = _key_of(item["loc"], item["type"], source)
            served = item["type"] == "levanter_only" and engine == "levanter"
            if not served and not any(key[: len(section)] == section for section in keys.skipped):
                report(key, _message(item["type"], item["msg"], item["input"], item.get("ctx", {})))
    else:
        for key, message in _across(config, engine):
            report(key, message)
    return config, sorted(problems, key=lambda problem: (problem.line is None, problem.line or 0))


class _KeyCheck:
    """Splits the names of a YAML's keys: those of the schema go to `values`, each other one makes a problem.

    `skipped` are the sections of a `type` that only Levanter has: their keys are not looked at.
    """

    def __init__(self, source: YamlSource, engine: Engine) -> None:
        self.source, self.engine = source, engine
        self.problems: list[Problem] = []
        self.skipped: set[KeyPath] = set()
        self.values = self._section([TrainConfig], source.values, (), "")

    def _section(
        self, sections: list[type[BaseModel]], values: dict[str, Any], at: KeyPath, pattern: str
    ) -> dict[str, Any]:
        if values.get("type") in LEVANTER_TYPES.get(pattern, ()):
            self.skipped.add(at)
            self._levanter_only((*at, "type"), f"{values['type']}: ")
            return {}
        section = _of_type(sections, values.get("type"))
        if section is None:  # an unknown type, which the schema reports
            return values
        kept = {}
        for name, value in values.items():
            key, dotted = (*at, str(name)), f"{pattern}.{name}" if pattern else str(name)
            if name in section.model_fields:
                kept[name] = self._value(section, name, value, key, dotted)
            elif dotted in RENAMED:
                self._report(key, f"a key of an older Levanter; now {RENAMED[dotted]}")
            elif dotted in SECTION_NOW and not isinstance(value, dict):
                self._report(key, f"a plain value in an older Levanter; now a section: {SECTION_NOW[dotted]}")
            elif name in LEVANTER_ONLY.get(pattern, ()):
                self._levanter_only(key)
            else:
                guess = did_you_mean(str(name), [*section.model_fields, *LEVANTER_ONLY.get(pattern, ())])
                self._report(key, f"unknown key; {guess or 'known: ' + ', '.join(section.model_fields)}")
        return kept

    def _value(self, section: type[BaseModel], name: str, value: Any, key: KeyPath, dotted: str) -> Any:
        inner, is_table = _inner_sections(section, name)
        if isinstance(value, list) and inner:
            return [
                self._section(inner, item, (*key, index), dotted) if isinstance(item, dict) else item
                for index, item in enumerate(value)
            ]
        if not isinstance(value, dict):
            return value
        if not inner:  # a free mapping, such as the model's
            for old in value:
                if f"{dotted}.{old}" in RENAMED:
                    self._report((*key, old), f"a key of an older Levanter; now {RENAMED[f'{dotted}.{old}']}")
            return value
        if not is_table:
            return self._section(inner, value, key, dotted)
        return {
            entry: self._section(inner, item, (*key, str(entry)), f"{dotted}.*") if isinstance(item, dict) else item
            for entry, item in value.items()
        }

    def _report(self, key: KeyPath, message: str) -> None:
        self.problems.append(self.source.problem(key, message))

    def _levanter_only(self, key: KeyPath, what: str = "") -> None:
        if self.engine == "local":
            self._report(key, what + SERVED)


def _inner_sections(section: type[BaseModel], name: str) -> tuple[list[type[BaseModel]], bool]:
    """The section classes that the field `name` may have, and whether it is a table of such sections by name."""
    annotation = section.model_fields[name].annotation
    is_table = get_origin(annotation) is dict
    return list(_sections_in(get_args(annotation)[1] if is_table else annotation)), is_table


def _sections_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif get_origin(annotation) is not dict:
        for inner in get_args(annotation):
            yield from _sections_in(inner)


def _of_type(sections: list[type[BaseModel]], kind: Any) -> type[BaseModel] | None:
    """The section of `sections` whose `type` is `kind`; where the choice is none, or no `type` given, the first."""
    if len(sections) == 1 or kind is None:
        return sections[0]
    return next((section for section in sections if section.model_fields["type"].default == kind), None)


# Where pydantic puts the `type` chosen into the path of what it reports.
_BY_TYPE = (("optimizer",), ("optimizer", "lr_schedule"), ("trainer", "tracker"))


def _key_of(loc: KeyPath, kind: str, source: YamlSource) -> KeyPath:
    """pydantic's path of a problem as the YAML has it."""
    key: list[str | int] = []
    types = set()
    for part in loc:
        names = tuple(name for name in key if isinstance(name, str))
        if isinstance(part, str) and names in _BY_TYPE and names not in types:
            types.add(names)
        elif not (names == ("trainer", "tracker") and isinstance(part, int) and (*key, part) not in source.lines):
            key.append(part)
    of_type = (*key, "type")
    return of_type if kind == "union_tag_invalid" and of_type in source.lines else tuple(key)


def _message(kind: str, message: str, value: Any, context: dict[str, Any]) -> str:
    if kind == "missing":
        return "missing: give it a value"
    if kind == "literal_error":
        known = re.findall(r"'([^']*)'", str(context.get("expected", "")))
        guess = did_you_mean(str(value), known)
        return f"expected {context.get('expected')}, got {value!r}" + (f"; {guess}" if guess else "")
    if kind == "union_tag_invalid":
        expected = context["expected_tags"].rsplit(", ", 1)
        known = re.findall(r"'([^']*)'", context["expected_tags"])
        guess = did_you_mean(context["tag"], known)
        return f"expected {' or '.join(expected)}, got {context['tag']!r}" + (f"; {guess}" if guess else "")
    if kind.startswith(("int_", "float_")):
        return f"expected a {'whole number' if kind.startswith('int_') else 'number'}, got {value!r}"
    if kind == "too_short":
        return f"expected at least {context['min_length']}, got none"
    if kind in ("wrong_value", "levanter_only"):
        return message
    message = message.removeprefix("Input ").replace("should be", "expected", 1)
    return f"{message[0].lower()}{message[1:]}, got {value!r}"


def _across(config: TrainConfig, engine: Engine) -> Iterator[tuple[KeyPath, str]]:
    """Problems that only several keys together show."""
    components = config.data.components
    strange = [name for name in config.data.train_weights or {} if name not in components]
    for name in strange:
        hint = did_you_mean(name, components) or f"components: {', '.join(components)}"
        yield ("data", "train_weights", name), f"no component of that name; {hint}"
    if not strange and not active_components(config.data):
        yield ("data", "train_weights"), "every weight is 0: nothing to train on"
    if config.use_hf_model_config and config.initialize_from_hf is None and engine == "local":
        yield ("use_hf_model_config",), "needs initialize_from_hf: the folder whose config.json it means"
    keep = config.trainer.checkpointer.keep or []
    for index, (earlier, later) in enumerate(itertools.pairwise(keep)):
        if earlier.until is None or (later.until is not None and later.until <= earlier.until):
            at: KeyPath = ("trainer", "checkpointer", "keep", index + 1)
            yield at, "expected each interval's `until` to be after the one before; only the last may have none"
