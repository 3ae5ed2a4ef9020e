"""What is wrong in data that was to be answers: all of it, each with its place, what came and what is allowed."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec

from levgen.architecture.answers import Answers
from levgen.errors import did_you_mean


def problems(data: Any, kind: Any, where: str = "") -> Iterator[str]:
    """One line for each problem of `data`, which should be a `kind`: `attention.kind: expected ...`."""
    if isinstance(kind, type) and issubclass(kind, Answers):
        yield from _of_answers(data, kind, where)
    elif get_origin(kind) is dict and isinstance(data, dict):
        key_kind, value_kind = get_args(kind)
        for key, value in data.items():
            yield from problems(key, key_kind, _at(where, key))
            yield from problems(value, value_kind, _at(where, key))
    elif get_origin(kind) is tuple and isinstance(data, list | tuple):
        for i, value in enumerate(data):
            yield from problems(value, get_args(kind)[0], _at(where, i))
    else:
        yield from _of_value(data, kind, where)


def _of_answers(data: Any, kind: type[Answers], where: str) -> Iterator[str]:
    if not isinstance(data, dict):
        yield f"{where or 'all of it'}: expected names with values, got {data!r}"
        return
    kinds, found = get_type_hints(kind, include_extras=True), False
    for name, value in data.items():
        if name not in kinds:
            hint = did_you_mean(str(name), list(kinds))
            found = True
            yield f"{_at(where, name)}: no such answer{f'; {hint}' if hint else ''}"
            continue
        for problem in problems(value, kinds[name], _at(where, name)):
            found = True
            yield problem
    if not found:  # each is right by itself: what is missing, or doesn't go together
        yield from _of_value(data, kind, where)


def _of_value(value: Any, kind: Any, where: str) -> Iterator[str]:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        where = where or "architecture"
        choices = _choices(kind)
        if isinstance(error.__cause__, ValueError):
            yield f"{where}: {error.__cause__}"
        elif choices and not (isinstance(value, str) and _meanings(kind)):
            *others, last = map(repr, choices)
            yield f"{where}: expected {', '.join(others)}{' or ' if others else ''}{last}, got {value!r}"
        elif isinstance(value, str) and len(value) > (_longest(kind) or len(value)):
            yield f"{where}: expected at most {_longest(kind)} characters, got {len(value)}"
        elif isinstance(value, str) and _meanings(kind):
            yield f"{where}: {value!r} is not {' or '.join(_meanings(kind))}"
        else:
            said = str(error).replace("`", "")
            yield f"{where}: {said[0].lower()}{said[1:]}" + ("" if isinstance(value, dict) else f", for {value!r}")


def _at(where: str, step: Any) -> str:
    return f"{where}.{step}" if where else str(step)


def _leaves(kind: Any) -> Iterator[Any]:
    """The members of a union, with what is said about each."""
    if get_origin(kind) in (Annotated, Literal) or not get_args(kind):
        yield kind
    else:
        for member in get_args(kind):
            yield from _leaves(member)


def _choices(kind: Any) -> list[Any]:
    return [choice for leaf in _leaves(kind) if get_origin(leaf) is Literal for choice in get_args(leaf)]


def _metas(kind: Any) -> list[msgspec.Meta]:
    return [
        meta
        for leaf in _leaves(kind)
        if get_origin(leaf) is Annotated
        for meta in get_args(leaf)[1:]
        if isinstance(meta, msgspec.Meta)
    ]


def _meanings(kind: Any) -> list[str]:
    return [meta.description for meta in _metas(kind) if meta.description]


def _longest(kind: Any) -> int | None:
    return next((meta.max_length for meta in _metas(kind) if meta.max_length), None)
