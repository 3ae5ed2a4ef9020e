"""Conversion of plain arguments without pydantic, whose import would double the start-up time of every command.

typer converts what the user typed with a pydantic TypeAdapter. Strings, flags, unconstrained paths and choices need
none. What isn't plain, and a typer whose parameters look otherwise than expected, is left to typer.
"""

from collections.abc import Callable
from enum import Enum
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import typer

Convert = Callable[[Any], Any]


class PlainConversion:
    """Stands in for typer's own conversion of one parameter (`typer.core` calls `coerce`)."""

    def __init__(self, convert: Convert) -> None:
        self.convert = convert

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """The value for the command's function. Raises `typer.BadParameter` for one that doesn't fit."""
        many = param.multiple or param.nargs == -1
        if value is None:
            return () if many else None
        try:
            return [self.convert(item) for item in value] if many else self.convert(value)
        except ValueError as error:
            raise typer.BadParameter(str(error), ctx=ctx, param=param) from error


class PlainParams:
    """Mixed into a typer command or group: its plain parameters, `--help` too, get a `PlainConversion`."""

    def get_params(self, ctx: Any) -> list[Any]:
        params: list[Any] = super().get_params(ctx)  # type: ignore[misc]
        for param in params:
            _use_plain_conversion(param)
        return params


def _use_plain_conversion(param: Any) -> None:
    descriptor = getattr(param, "type_descriptor", None)
    if descriptor is None or not hasattr(param, "get_runtime_param"):
        return
    convert = _conversion(descriptor.annotation) if _is_unconstrained(descriptor.parameter_info) else None
    if convert is not None:
        conversion = PlainConversion(convert)
        param.get_runtime_param = lambda: conversion


def _is_unconstrained(info: Any) -> bool:
    asked = ("parser", "min", "max", "path_type", "exists", "writable", "resolve_path", "allow_dash")
    return not any(getattr(info, name, None) for name in asked) and info.file_okay and info.dir_okay


def _conversion(annotation: Any) -> Convert | None:
    """How one item of `annotation` is converted, or None where typer should do it."""
    if annotation in (str, Path):
        return annotation  # type: ignore[no-any-return]
    if annotation is bool:
        return _to_bool
    if annotation is int:
        return _to_int
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is list and len(args) == 1:
        return _conversion(args[0])
    if origin in (Union, UnionType) and len(args) == 2 and type(None) in args:
        return _conversion(next(arg for arg in args if arg is not type(None)))
    if origin is Literal and all(isinstance(arg, str) for arg in args):
        return lambda value: _to_choice(value, {arg: arg for arg in args})
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return lambda value: _to_choice(value, {str(member.value): member for member in annotation})
    return None


def _to_bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise ValueError(f"expected a flag, got {value!r}")


def _to_int(value: Any) -> int:
    try:
        return int(value)
    except ValueError:
        raise ValueError(f"expected a whole number, got {value!r}") from None


def _to_choice(value: Any, choices: dict[str, Any]) -> Any:
    if value in choices.values():
        return value
    if value not in choices:
        raise ValueError(f"expected one of {', '.join(map(repr, choices))}, got {value!r}")
    return choices[value]
