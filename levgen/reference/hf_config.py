"""A folder's `config.json`: reading it with care, and the dimensions in it."""

import ast
import dataclasses
import json
import operator
from collections.abc import Callable
from pathlib import Path
from typing import Any

from levgen.architecture.catalogue import find, known_types
from levgen.architecture.schema import Architecture
from levgen.errors import LevgenError, did_you_mean

# The longest config.json of a model is a few hundred kB (tables for long rope); a larger file is something else.
MAX_BYTES = 4 * 1024 * 1024


def read_hf_config(folder: Path) -> dict[str, Any]:
    """The `config.json` of `folder`, as plain data that names a model type.

    Raises LevgenError where there is none, or where it is broken, too large, or not the config of a model.
    """
    path = folder / "config.json"
    if not folder.is_dir():
        raise LevgenError(f"--from {folder}: expected a folder with a config.json, or a hub id such as owner/name")
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise LevgenError(f"{path} has {size:,} bytes: a model's config.json has at most {MAX_BYTES:,}")
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise LevgenError(f"{path} can't be read: {error.strerror}") from error
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise LevgenError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(data, dict) or not isinstance(data.get("model_type"), str):
        raise LevgenError(f"{path} names no model_type", "expected the config.json of a transformers model")
    return data


def architecture_of(data: dict[str, Any]) -> Architecture:
    """The card of the model type that a `config.json` names.

    Raises LevgenError for a type without a card, and for a checkpoint that is not a causal language model.
    """
    model_type = data["model_type"]
    card = find(model_type)
    if card is None:
        hint = did_you_mean(model_type, known_types()) or f"known: {', '.join(known_types())}"
        raise LevgenError(f"no card for the model type {model_type!r} of config.json", hint)
    require_causal(card, data)
    return card


def require_causal(card: Architecture, data: dict[str, Any]) -> None:
    """Raises LevgenError where a `config.json` is of a checkpoint that holds another model than that of `card`."""
    classes = data.get("architectures") or []
    if card.reference is not None and classes and card.reference.model not in classes:
        held = ", ".join(map(str, classes))
        raise LevgenError(f"the checkpoint holds {held}, which is not the causal language model {card.reference.model}")


def with_dimensions_of(architecture: Architecture, data: dict[str, Any]) -> Architecture:
    """`architecture` with the hyperparameters of a `config.json` as its defaults.

    Raises LevgenError that lists every field of the config that no answer of the architecture maps.
    """
    # The same table that the generated config reads with: imports jax and transformers, seconds that only --from pays.
    from levgen.runtime.hf_config.fields import HfField, HfFields
    from levgen.runtime.rotary import Rotary

    if architecture.reference is None:
        raise LevgenError(f"{architecture.title} has no reference in transformers whose config could be read")
    fields = {
        ours: HfField(parameter.hf, unset=_unset(parameter.unset)) if parameter.unset else parameter.hf
        for ours, parameter in architecture.hyperparameters.items()
        if parameter.hf is not None
    }
    table = HfFields(
        architecture.reference.config,
        fields,
        fixed={
            **architecture.fixed,
            **{name: _unset(expression) for name, expression in architecture.derived.items()},
        },
        ignored=architecture.ignored,
        given=architecture.given,
        model_type=architecture.reference.model_type,
    )
    kinds: dict[str, Any] = {
        ours: Any if parameter.optional else Rotary if isinstance(parameter.default, dict) else type(parameter.default)
        for ours, parameter in architecture.hyperparameters.items()
    }
    holder = dataclasses.make_dataclass(architecture.reference.config, list(kinds.items()), frozen=True)
    values: Any = table.read(holder, data)
    changed = {
        ours: parameter.changed(default=_plain(getattr(values, ours)))
        for ours, parameter in architecture.hyperparameters.items()
    }
    return architecture.changed(hyperparameters=changed)


_OPERATORS: dict[type[ast.operator | ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Pow: operator.pow,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
    ast.Gt: operator.gt,
}


def _unset(expression: str) -> Callable[[Any], Any]:
    """What a card's `unset` or `derived` stands for: whole numbers, words and fields of the HF config, joined."""

    def value(node: ast.AST, hf: Any) -> Any:
        match node:
            case ast.Constant(value=int() | str() | None as constant):
                return constant
            case ast.Name(id=name):
                return getattr(hf, name)
            case ast.List(elts=[entry]):
                return [value(entry, hf)]
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
                return _OPERATORS[type(op)](value(left, hf), value(right, hf))
            case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _OPERATORS:
                return _OPERATORS[type(op)](value(left, hf), value(right, hf))
        raise LevgenError(
            f"the card's `{expression}` is no sum, product or power of whole numbers, words and HF fields"
        )

    tree = ast.parse(expression, mode="eval").body
    return lambda hf: value(tree, hf)


def _plain(value: Any) -> Any:
    """A default as a card holds it: a Rotary becomes the mapping of what is not at its own default."""
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return value
    return {
        field.name: list(item) if isinstance(item, tuple) else item
        for field in dataclasses.fields(value)
        if (item := getattr(value, field.name)) != field.default
    }
