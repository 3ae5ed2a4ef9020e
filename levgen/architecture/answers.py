"""Answers: plain data with types that are checked where it is read, and what a text or a number in it may be.

Built on msgspec, whose import costs a tenth of pydantic's: each command reads cards before it does anything else.
"""

import functools
from collections.abc import Iterator
from typing import Annotated, Any, Self, dataclass_transform

import msgspec


def matching(pattern: str, meaning: str, longest: int | None = None) -> msgspec.Meta:
    """What a text must be: `meaning` says it to a person. At most `longest` characters."""
    return msgspec.Meta(pattern=rf"\A(?:{pattern})\Z", description=meaning, max_length=longest)


_IDENTIFIER = r"[a-z][a-z0-9_]*"
_POWER = rf"{_IDENTIFIER}(\*\*-?\d+(\.\d+)?)?"
_HF_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_PATH = r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*"
EXPRESSION = r"[A-Za-z0-9_ *+/()>\[\]-]+"

Identifier = Annotated[str, matching(_IDENTIFIER, "a lower-case identifier")]
# A number: written out, the name of a hyperparameter, a power of one such as `hidden_dim**0.5`, or a product of these.
Factor = (
    float
    | Annotated[
        str,
        matching(rf"{_POWER}( \* {_POWER})*", "a number, a hyperparameter, or a power of one such as hidden_dim**0.5"),
    ]
)
# Yes, no, or the name of the boolean hyperparameter that decides.
Switch = bool | Annotated[str, matching(_IDENTIFIER, "true, false or the name of a hyperparameter")]
# What reaches a docstring or a comment: nothing that ends a string or starts an escape.
Text = Annotated[
    str, matching(r"[^\"\\{}\x00-\x1f\x7f]*", "plain text (no quotes, backslashes, braces or line ends)", 500)
]
Path = Annotated[str, matching(_PATH, "a dotted name of a weight", 200)]
HfName = Annotated[str, matching(_HF_NAME, "the name of a field", 100)]
# A field, or an entry of a field that is a dict: `rope_parameters.full_attention`.
HfPath = Annotated[str, matching(rf"{_HF_NAME}(\.{_HF_NAME})*", "the name of a field", 100)]
# Words in quotes are entries of a list: ['full'] * num_hidden_layers.
_OVER_FIELDS = rf"({EXPRESSION}|'[A-Za-z0-9_]+')+"
Unset = Annotated[str, matching(_OVER_FIELDS, "a sum or product of HF fields, such as 4 * n_embd", 100)]
Value = bool | int | float | str | dict[str, Any] | tuple[Any, ...] | None


@dataclass_transform(frozen_default=True, field_specifiers=(msgspec.field,))
class _Group(msgspec.StructMeta):
    """Makes each class immutable and closed to unknown names, without its saying so."""

    def __new__(cls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **config: Any) -> "_Group":
        return super().__new__(cls, name, bases, namespace, frozen=True, forbid_unknown_fields=True, **config)


class Answers(msgspec.Struct, metaclass=_Group):
    """Base of every group of answers: immutable, and closed to unknown names.

    A group says what doesn't fit together in `_fits`, which raises ValueError with a message for a person.
    """

    def __post_init__(self) -> None:
        self._fits()

    def _fits(self) -> None:
        """Whether the answers go together."""

    def items(self) -> Iterator[tuple[str, Any]]:
        """(answer, value) in the order in which the class names them."""
        return ((answer, getattr(self, answer)) for answer in self.__struct_fields__)

    def differing(self) -> Iterator[tuple[str, Any]]:
        """The items that are not at their defaults."""
        defaults = usual(type(self))
        return ((answer, value) for answer, value in self.items() if value != defaults.get(answer, msgspec.NODEFAULT))

    def changed(self, **changes: Any) -> Self:
        """The same with other values; types are not checked anew."""
        return msgspec.structs.replace(self, **changes)


@functools.cache
def usual(group: type[Answers]) -> dict[str, Any]:
    """{answer: its default}, of the answers that have one."""
    defaults = {
        field.name: field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
        for field in msgspec.structs.fields(group)
    }
    return {answer: default for answer, default in defaults.items() if default is not msgspec.NODEFAULT}


def plain(value: Any, *, defaults: bool = True) -> Any:
    """`value` as dicts, lists, texts and numbers; with `defaults=False` without the answers that are at theirs."""
    if isinstance(value, Answers):
        items = value.items() if defaults else value.differing()
        return {answer: plain(entry, defaults=defaults) for answer, entry in items}
    if isinstance(value, dict):
        return {key: plain(entry, defaults=defaults) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry, defaults=defaults) for entry in value]
    return value
