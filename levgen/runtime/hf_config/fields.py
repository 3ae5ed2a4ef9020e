"""The table between a config of ours and its transformers config, read in both directions."""

import copy
import dataclasses
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, TypeVar

from levgen.errors import LevgenError, did_you_mean
from levgen.runtime.hf_config.common import COMMON_FIELDS
from levgen.runtime.hf_config.values import (
    MISSING,
    HfConfigError,
    canonical_name,
    class_defaults,
    field_default,
    get_attribute,
    has_attribute,
    leaves_out_fraction,
    made,
    no_attribute,
    numbers_read,
    plain,
    put_attribute,
    to_hf,
    to_ours,
    with_fraction,
)

C = TypeVar("C")

_TRAINED_LENGTH = "original_max_position_embeddings"


@dataclass(frozen=True)
class HfField:
    """One transformers attribute. A dot goes into a dict: `rope_parameters.full_attention`.

    `unset` computes, from the transformers config, the value that its model uses where the attribute is None,
    or absent.
    """

    name: str
    unset: Callable[[Any], Any] | None = None


class HfFields:
    """Which transformers attribute holds each field of a config of ours.

    Args:
        config_class: the name of transformers' config class, or None where transformers has no such model: the table
            then describes a plain `PretrainedConfig` with the names that it gives.
        fields: our field -> their attribute. A field whose type has `from_hf` and `to_hf` (`Rotary`) is converted.
        fixed: their attribute -> the only value that the model computes, or the function of the transformers config
            that gives it (`lambda hf: hf.hidden_size // hf.num_attention_heads`).
        ignored: their attribute -> why it doesn't matter to the function computed or to its training.
        given: what is written into ignored attributes that transformers reads, and has no default for.
        model_type: transformers' `model_type`; by default that of `config_class`, or else our registered name.

    An attribute that is in none of them, nor common to every transformers config (`hf_config/common.py`), is refused
    unless it has its class's default value.
    """

    def __init__(
        self,
        config_class: str | None,
        fields: Mapping[str, str | HfField],
        *,
        fixed: Mapping[str, Any] | None = None,
        ignored: Mapping[str, str] | None = None,
        given: Mapping[str, Any] | None = None,
        model_type: str | None = None,
    ) -> None:
        self.config_class = config_class
        self.fields = {ours: HfField(name) if isinstance(name, str) else name for ours, name in fields.items()}
        self.fixed = dict(fixed or {})
        self.ignored = dict(ignored or {})
        self.given = dict(given or {})
        self._model_type = model_type

    def hf_class(self) -> type[Any]:
        """transformers' config class. Imports transformers, which takes seconds.

        Raises `HfConfigError` when the installed transformers has no such class.
        """
        import transformers
        from transformers.models.auto import configuration_auto

        if self.config_class is None:
            return typing.cast(type[Any], transformers.PretrainedConfig)
        found = getattr(transformers, self.config_class, None)
        if found is None:
            auto: Any = configuration_auto  # its tables are not declared
            of_class = {name: kind for kind, name in auto.CONFIG_MAPPING_NAMES.items()}
            if self.config_class not in of_class:
                raise HfConfigError(
                    f"transformers {transformers.__version__} has no config class {self.config_class!r}.",
                    did_you_mean(self.config_class, of_class) or "Install the version that the model was made for.",
                )
            found = auto.CONFIG_MAPPING[of_class[self.config_class]]
        return typing.cast(type[Any], found)

    def model_type(self, cls: type[Any]) -> str:
        """The `model_type` that a config.json of this model states."""
        if self._model_type is not None:
            return self._model_type
        if self.config_class is not None:
            return str(self.hf_class().model_type)
        return str(cls.get_choice_name(cls))

    def read(self, cls: type[C], hf_config: Any) -> C:
        """`cls` from a transformers config or the dict of a config.json.

        Raises `HfConfigError` for another model type, and for attributes that are missing, null, unknown, or not at
        their fixed value.
        """
        hf = self.standard(cls, hf_config)
        problems: list[str] = []
        values: dict[str, Any] = {}
        kinds, defaults = typing.get_type_hints(cls), class_defaults(type(hf))
        # The length comes first: rotary positions are read with it.
        for ours, field in sorted(self.fields.items(), key=lambda item: item[0] != "max_seq_len"):
            if ours not in kinds:
                problems.append(_unknown_field(cls, ours))
                continue
            try:
                absent = field.unset is not None and not has_attribute(hf, field.name)
                value = None if absent else get_attribute(hf, field.name)
                if value is None and field.unset is not None:
                    value = field.unset(hf)
                if leaves_out_fraction(defaults, field.name, value):
                    raise HfConfigError(
                        f"{field.name} doesn't say which part of a head turns (partial_rotary_factor), and what the "
                        "model takes then is not known",
                        "write it into the config",
                    )
                values[ours] = to_ours(value, kinds[ours], values.get("max_seq_len"))
            except LevgenError as error:
                problems.append(f"{ours}: {error.message}" + (f" ({error.hint})" if error.hint else ""))
        problems += self._unhandled(hf, defaults)
        if problems:
            raise _listed(f"{type(hf).__name__} does not fit {cls.__name__}", problems)
        return cls(**values)

    def write(self, config: Any, vocab_size: int, overrides: Mapping[str, Any]) -> Any:
        """The transformers config of `config`.

        A value that transformers computes itself where the attribute is None, and whose default is None, is written as
        None. Raises `HfConfigError` where a field that the table lacks has another value than its default, and where
        the table names an attribute that transformers' class hasn't got: it would take it, and read it nowhere.
        """
        cls, hf_class = type(config), self.hf_class()
        defaults = class_defaults(hf_class)
        kinds = typing.get_type_hints(cls)
        problems = [_unknown_field(cls, ours) for ours in self.fields if ours not in kinds]
        problems += [no_attribute(hf_class, name, defaults) for name in self._unknown_attributes(hf_class, defaults)]
        for field in dataclasses.fields(cls):
            if field.name not in self.fields and getattr(config, field.name) != field_default(field):
                problems.append(
                    f"{field.name}={getattr(config, field.name)!r} has no transformers attribute in hf_fields, and "
                    f"would be lost: its default is {field_default(field)!r}"
                )
        if problems:
            raise _listed(f"{cls.__name__} can't be written as {hf_class.__name__}", problems)

        keywords: dict[str, Any] = {"vocab_size": vocab_size}
        for ours, entry in self.fields.items():
            value = to_hf(getattr(config, ours))
            value = with_fraction(value) if leaves_out_fraction(defaults, entry.name, value) else value
            put_attribute(keywords, entry.name, value)
        known = SimpleNamespace(**keywords)
        for name, value in (*self.fixed.items(), *self.given.items()):
            put_attribute(keywords, name, value(known) if callable(value) else copy.deepcopy(value))
        # Where a config has this field, transformers reads it in place of the entry of the same name.
        rope = keywords.get("rope_parameters") or {}
        if _TRAINED_LENGTH in defaults and _TRAINED_LENGTH in rope:
            keywords[_TRAINED_LENGTH] = rope[_TRAINED_LENGTH]
        if _beyond(defaults.get("pad_token_id"), vocab_size):
            keywords["pad_token_id"] = _padding(hf_class, vocab_size)  # transformers builds no embedding with it
        computed = {
            entry.name: entry.unset
            for entry in self.fields.values()
            if entry.unset is not None and defaults.get(canonical_name(hf_class, entry.name), MISSING) is None
        }
        if computed:
            try:
                bare = made(hf_class, **{**keywords, **dict.fromkeys(computed)})
            except HfConfigError:  # a check reads one of them before it is computed: all are written as they are
                computed = {}
            for name, unset in computed.items():
                if plain(unset(bare)) == plain(keywords[name]):
                    keywords[name] = None
        if hf_class.model_type != self.model_type(cls):
            hf_class = type(hf_class.__name__, (hf_class,), {"model_type": self.model_type(cls)})
        return made(hf_class, **{**keywords, **overrides})

    def standard(self, cls: type[Any], hf_config: Any) -> Any:
        """A transformers config object, in which a dict's older names are today's.

        Raises `HfConfigError` for another model type than that of `cls`.
        """
        given = hf_config if isinstance(hf_config, Mapping) else None
        found = given.get("model_type") if given is not None else getattr(hf_config, "model_type", None)
        expected = self.model_type(cls)
        if found and found != expected:
            raise HfConfigError(
                f"{cls.__name__} reads a config of model_type {expected!r}, found {found!r}.",
                f"Read it with the port of {found!r}, or make one: levgen new-model {found}",
            )
        if given is None:
            return hf_config
        return made(self.hf_class().from_dict, copy.deepcopy(numbers_read(dict(given))))

    def _unknown_attributes(self, hf_class: type[Any], defaults: Mapping[str, Any]) -> list[str]:
        """What the table writes and `hf_class` has not; what is said to be absent at times (`unset`) is left out."""
        if self.config_class is None:
            return []
        written = [field.name for field in self.fields.values() if field.unset is None] + [*self.fixed]
        names = dict.fromkeys(name.partition(".")[0] for name in written)
        known = {*defaults, *COMMON_FIELDS}
        return [n for n in names if canonical_name(hf_class, n) not in known and not hasattr(hf_class, n)]

    def _unhandled(self, hf: Any, defaults: Mapping[str, Any]) -> list[str]:
        """What is wrong with the attributes that the table doesn't map to a field."""
        hf_class = type(hf)
        problems = []
        for name, expected in self.fixed.items():
            try:
                found = get_attribute(hf, name)
            except LevgenError as error:
                problems.append(error.message)
                continue
            if callable(expected):
                expected = expected(hf)
            if plain(found) != plain(expected):
                problems.append(f"{name}: the model computes {expected!r} only, found {found!r}")
        whole: set[str] = set()
        inside: dict[str, set[str]] = {}
        for name in [*(field.name for field in self.fields.values()), *self.fixed, *self.ignored]:
            first, _, rest = name.partition(".")
            (inside.setdefault(canonical_name(hf_class, first), set()) if rest else whole).add(
                rest.partition(".")[0] or canonical_name(hf_class, first)
            )
        for name, value in hf.to_dict().items():
            if name in whole or name in COMMON_FIELDS:
                continue
            default = plain(defaults.get(name))
            if name in inside:
                usual = default if isinstance(default, Mapping) else {}
                for key, item in (value or {}).items():
                    if key in COMMON_FIELDS or plain(item) == plain(usual.get(key)):
                        continue
                    if key not in inside[name]:
                        problems.append(_unhandled_attribute(f"{name}.{key}", item, MISSING, inside[name]))
            elif plain(value) != default:
                problems.append(_unhandled_attribute(name, value, defaults.get(name, MISSING), {*whole, *inside}))
        return problems


def _padding(hf_class: type[Any], vocab_size: int) -> int | None:
    """No token that pads; where the class wants one, the last."""
    try:
        made(hf_class, pad_token_id=None)
    except HfConfigError:
        return vocab_size - 1
    return None


def _beyond(token: Any, vocab_size: int) -> bool:
    return isinstance(token, int) and token >= vocab_size


def _unknown_field(cls: type[Any], ours: str) -> str:
    near = did_you_mean(ours, [field.name for field in dataclasses.fields(cls)])
    return f"hf_fields names {ours!r}, and {cls.__name__} has no such field" + (f" ({near})" if near else "")


def _unhandled_attribute(name: str, value: Any, default: Any, known: set[str]) -> str:
    was = "not an attribute of the class" if default is MISSING else f"default {default!r}"
    near = did_you_mean(name, known)
    return f"{name}={value!r} ({was}) is handled by no field" + (f" ({near})" if near else "")


def _listed(title: str, problems: list[str]) -> HfConfigError:
    lines = "".join(f"\n  - {problem}" for problem in problems)
    return HfConfigError(
        f"{title}, {len(problems)} problem{'s' * (len(problems) > 1)}:{lines}",
        "Give each a field, or a line in `fixed` or `ignored`, in the table hf_fields of the config class.",
    )
