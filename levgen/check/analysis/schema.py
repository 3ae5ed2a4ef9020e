"""What the schema of training configurations says of a YAML, by kind of problem."""

import enum
from collections.abc import Iterator
from weakref import WeakKeyDictionary

from levgen.check.files.yaml_file import YamlFile
from levgen.check.rule import CannotCheckError, Problem, Span
from levgen.errors import LevgenError


class Kind(enum.Enum):
    """Which rule a problem belongs to."""

    UNKNOWN = "an unknown key"
    OLD = "a key of an older Levanter"
    MISSING_TOKENIZER = "no tokenizer"
    REPEATED = "a key given twice"
    VALUE = "anything else"


_BEGINNINGS = {
    "unknown key": Kind.UNKNOWN,
    "a key of an older": Kind.OLD,
    "a plain value in an older": Kind.OLD,
    "given twice": Kind.REPEATED,
}
_found: WeakKeyDictionary[YamlFile, list[tuple[Kind, str, Problem]]] = WeakKeyDictionary()


def _span(file: YamlFile, key: str, line: int | None) -> Span:
    entry = file.entry(*key.split(".")) if key else None
    if entry is not None:
        return entry.span
    return Span(line or 1, 0, line or 1, 1)


def _all(file: YamlFile) -> list[tuple[Kind, str, Problem]]:
    from levgen.training.validate import check_yaml

    if file not in _found:
        try:
            listed = check_yaml(file.path, engine="levanter")
        except LevgenError as error:
            raise CannotCheckError(f"the schema cannot read the file: {error.message}") from error
        _found[file] = []
        for one in listed:
            kind = next((kind for start, kind in _BEGINNINGS.items() if one.message.startswith(start)), Kind.VALUE)
            if one.key in {"data.tokenizer", "data"} and one.message.startswith("missing"):
                kind = Kind.MISSING_TOKENIZER if one.key == "data.tokenizer" else kind
            span = _span(file, one.key, one.line)
            text = f"`{one.key}`: {one.message}" if one.key else one.message
            _found[file].append((kind, one.key, Problem(span, text)))
    return _found[file]


def problems_of(file: YamlFile, kind: Kind) -> Iterator[tuple[str, Problem]]:
    """The problems of one kind, each with its key.

    Raises:
        CannotCheckError: the schema cannot read the file.
    """
    for its_kind, key, problem in _all(file):
        if its_kind is kind:
            yield key, problem
