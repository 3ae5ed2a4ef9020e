"""Single attributes of transformers configs: reading and writing them, their defaults, and their values as ours."""

import copy
import dataclasses
import typing
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from levgen.errors import LevgenError, did_you_mean

MISSING = object()


class HfConfigError(LevgenError):
    """A transformers config that a table can't carry over, or the reverse; every problem is listed."""


def made(make: Callable[..., Any], *args: Any, **keywords: Any) -> Any:
    """The config that `make` returns; transformers' own refusals become `HfConfigError`."""
    from huggingface_hub.errors import StrictDataclassError

    try:
        return make(*args, **keywords)
    except (StrictDataclassError, TypeError, ValueError, KeyError) as error:
        raise HfConfigError(f"transformers refuses the config: {error}", "Correct these values.") from error


def has_attribute(hf: Any, name: str) -> bool:
    """Whether a transformers config has the attribute `name`, or the dict that a dot goes into."""
    try:
        getattr(hf, name.partition(".")[0])
    except AttributeError:
        return False
    except Exception:  # it has one that can't be read globally, which `get_attribute` reports
        return True
    return True


def get_attribute(hf: Any, name: str) -> Any:
    """The attribute `name` of a transformers config; a dot goes into a dict."""
    first, _, rest = name.partition(".")
    try:
        value = getattr(hf, first)
    except AttributeError:
        raise HfConfigError(no_attribute(type(hf), first, hf.to_dict())) from None
    except Exception as error:  # transformers refuses to read an attribute globally whose value differs by layer
        raise HfConfigError(f"{first!r} can't be read: {error}") from error
    for key in filter(None, rest.split(".")):
        value = value.to_dict() if hasattr(value, "to_dict") else value  # a config within a config
        if not isinstance(value, Mapping) or key not in value:
            raise HfConfigError(f"{type(hf).__name__}.{name} is missing: {first} is {value!r}")
        value = value[key]
    return value


def no_attribute(hf_class: type[Any], name: str, known: Iterable[str]) -> str:
    """Says that a transformers config lacks `name`, with the nearest of those that it has."""
    near = did_you_mean(name, known)
    return f"{hf_class.__name__} has no attribute {name!r}" + (f" ({near})" if near else "")


def put_attribute(keywords: dict[str, Any], name: str, value: Any) -> None:
    *path, last = name.split(".")
    for key in path:
        keywords = keywords.setdefault(key, {})
    keywords[last] = value


def _converter(kind: Any) -> Any:
    """The class with `from_hf` that a field's type names, alone or in a union; None where there is none."""
    for candidate in (kind, *typing.get_args(kind)):
        if isinstance(candidate, type) and hasattr(candidate, "from_hf"):
            return candidate
    return None


def to_ours(value: Any, kind: Any, max_seq_len: int | None) -> Any:
    if value is None:
        if kind is Any or type(None) in typing.get_args(kind):
            return None
        raise HfConfigError(f"transformers' value is None, and {getattr(kind, '__name__', kind)} is wanted")
    converter = _converter(kind)
    if converter is not None:
        return converter.from_hf(copy.deepcopy(value), max_seq_len=max_seq_len)
    return _frozen(value)


def _frozen(value: Any) -> Any:
    """Lists as tuples: a config is hashable, so that it can be a static field of a module."""
    return tuple(_frozen(item) for item in value) if isinstance(value, list | tuple) else value


def to_hf(value: Any) -> Any:
    if hasattr(value, "to_hf"):
        return value.to_hf()
    return [to_hf(item) for item in value] if isinstance(value, list | tuple) else value


_FRACTION = "partial_rotary_factor"


def leaves_out_fraction(defaults: Mapping[str, Any], name: str, value: Any) -> bool:
    """Whether `value`, of the attribute `name`, doesn't say which part of a head turns, and the class's default does.

    What a reference takes then is a matter of its code: all of a head, or that default.
    """
    usual: Any = defaults
    for step in name.split("."):
        usual = usual.get(step) if isinstance(usual, Mapping) else None
    return isinstance(usual, Mapping) and _FRACTION in usual and isinstance(value, Mapping) and _FRACTION not in value


def with_fraction(value: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters of a rotation that say that all of a head turns."""
    return {**value, _FRACTION: 1.0}


def plain(value: Any) -> Any:
    """A value that compares equal to what the same value becomes in JSON."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


def canonical_name(hf_class: type[Any], name: str) -> str:
    """The name under which `to_dict` lists an attribute that may be an alias (`hidden_size` of `n_embd`)."""
    return str(getattr(hf_class, "attribute_map", {}).get(name, name))


def numbers_read(value: Any) -> Any:
    """What JSON holds with the numbers that it has none of: transformers writes {"__float__": "Infinity"} for one."""
    if isinstance(value, dict):
        if set(value) == {"__float__"}:
            return float(value["__float__"])
        return {key: numbers_read(item) for key, item in value.items()}
    return [numbers_read(item) for item in value] if isinstance(value, list) else value


def class_defaults(hf_class: type[Any]) -> dict[str, Any]:
    """The values of a config that nothing is given to."""
    try:
        return dict(hf_class().to_dict())
    except Exception:  # some classes want arguments: their own fields' defaults are all that is known
        return {f.name: field_default(f) for f in dataclasses.fields(hf_class) if field_default(f) is not MISSING}


def field_default(field: "dataclasses.Field[Any]") -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return MISSING if field.default is dataclasses.MISSING else field.default
