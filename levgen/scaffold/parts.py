"""Parts: the building blocks of a generated file, each a folder of `templates/parts` with its needs in `part.yaml`.

A part says which hyperparameters and axes it adds to the config, under which answers (`when`), and what its weights are
called by default.
"""

import functools
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import jinja2

from levgen.architecture.schema import Architecture
from levgen.plain_yaml import load_yaml
from levgen.resources import templates
from levgen.scaffold.compiled_templates import CompiledTemplates

# The order in which the classes of a file appear.
ORDER = (
    "gated_norm",
    "indexer",
    "attention",
    "mlp",
    "moe",
    "decoder_layer",
    "transformer",
    "embeddings",
    "head_transform",
    "lm_head",
)


def class_name(part: str, model: str) -> str:
    """`decoder_layer`, `MyModel` -> `MyModelDecoderLayer`"""
    return model + ("LMHeadModel" if part == "lm_head" else part.title().replace("_", ""))


# The order in which a config lists what they add.
_CONFIG_ORDER = (
    "model",
    "mlp",
    "moe",
    "transformer",
    "attention",
    "indexer",
    "norm",
    "gated_norm",
    "decoder_layer",
    "embeddings",
    "head_transform",
    "lm_head",
)


@dataclass(frozen=True)
class HyperparameterSpec:
    """A hyperparameter that a part needs: its type and its values at full size, on a laptop and in tests."""

    name: str
    type: str
    default: Any
    when: str | None = None
    nano: Any = None
    tiny: Any = None
    by_layer: bool = False  # it has an entry for each layer: the default is a period
    choices: tuple[str, ...] = ()
    least: int = 1  # of a whole number


@dataclass(frozen=True)
class AxisSpec:
    """An axis property that a part adds to the config."""

    attribute: str  # Embed
    name: str  # embed
    size: str  # an expression over hyperparameters
    alias: str | None = None  # the property that it is an alias of
    when: str | None = None
    comment: str | None = None
    above: str | None = None  # the same on a line of its own, for a property that fills its line

    @property
    def source(self) -> str:
        """The right-hand side of the property, over `self`."""
        if self.alias:
            return f'self.{self.alias}.alias("{self.name}")'
        return f'Axis("{self.name}", {over_self(self.size)})'


@dataclass(frozen=True)
class Part:
    """One building block, as its `part.yaml` describes it."""

    name: str
    summary: str
    kinds: dict[str, dict[str, Any]]
    hyperparameters: tuple[HyperparameterSpec, ...]
    axes: tuple[AxisSpec, ...]
    names: dict[str, str]

    @property
    def conditions(self) -> list[str]:
        """All that decides on what it adds."""
        return [spec.when for specs in (self.hyperparameters, self.axes) for spec in specs if spec.when is not None]


def over_self(expression: str) -> str:
    """`num_heads // 2` -> `self.num_heads // 2`: every name read from the config itself."""
    return re.sub(r"(?<![\w.])([A-Za-z_]\w*)", r"self.\1", expression)


@functools.cache
def load_part(name: str) -> Part:
    """The part called `name`; `model` is the set of dimensions that every model has."""
    folder = templates() / "model" if name == "model" else templates() / "parts" / name
    data = load_yaml((folder / "part.yaml").read_text(encoding="utf-8"))
    axes = tuple(
        AxisSpec(
            spec.get("as", key),
            spec["name"],
            str(spec.get("size", "")),
            *(spec.get(entry) for entry in ("alias", "when", "comment", "above")),
        )
        for key, spec in data.get("axes", {}).items()
    )
    hyperparameters = tuple(_specified(key, **spec) for key, spec in data.get("hyperparameters", {}).items())
    return Part(name, data["summary"], data.get("kinds", {}), hyperparameters, axes, data.get("names", {}))


def _specified(name: str, *, choices_of: str | None = None, **spec: Any) -> HyperparameterSpec:
    """A hyperparameter of a `part.yaml`. `choices_of`: the one, as PART.NAME, that has the same choices."""
    if choices_of is not None:
        part, _, other = choices_of.partition(".")
        spec["choices"] = next(own.choices for own in load_part(part).hyperparameters if own.name == other)
    return HyperparameterSpec(name=spec.pop("as", name), **spec)


# What a layer that is unknown as a whole leaves no place for.
_IN_LAYERS = {"attention", "mlp", "moe"}


def classes_of(architecture: Architecture) -> list[str]:
    """The parts that the file of `architecture` has a class for, in order."""
    absent = set() if architecture.layer.mlp else {"mlp"}
    if architecture.attention.indexer == "none" or "attention" in (*architecture.stubs, *architecture.unknown):
        absent.add("indexer")
    if not architecture.norm_gate.present:
        absent.add("gated_norm")
    if "decoder_layer" in architecture.unknown:
        absent |= _IN_LAYERS
    if architecture.moe.layers == "none":
        absent.add("moe")
    elif architecture.moe.layers == "every" and architecture.moe.shared == "none":
        absent.add("mlp")
    if architecture.head_transform.kind == "none":
        absent.add("head_transform")
    return [part for part in ORDER if part not in absent]


def all_parts() -> list[Part]:
    """Every part, the dimensions of the model first."""
    return [load_part(name) for name in _CONFIG_ORDER]


# All that parts say of answers is one template, compiled once for a machine.
_expressions = jinja2.Environment(
    loader=jinja2.FunctionLoader(str), undefined=jinja2.StrictUndefined, bytecode_cache=CompiledTemplates()
)


def _evaluated(expressions: Iterable[str], architecture: Architecture) -> dict[str, str]:
    """{expression: its value as text}, over the answers of `architecture`."""
    kept = list(dict.fromkeys(expressions))
    if not kept:
        return {}
    values = _expressions.get_template("\n".join(kept)).render(architecture.groups())
    return dict(zip(kept, values.split("\n"), strict=True))


def holding(architecture: Architecture) -> Callable[[str | None], bool]:
    """Whether a condition of the parts holds for `architecture`."""
    conditions = {when: f"{{{{ 1 if {when} else 0 }}}}" for part in all_parts() for when in part.conditions}
    values = _evaluated(conditions.values(), architecture)
    return lambda when: when is None or values[conditions[when]] == "1"


def needed_hyperparameters(architecture: Architecture) -> dict[str, HyperparameterSpec]:
    """By name, the hyperparameters that the parts of `architecture` need. A part that is unknown needs its own."""
    holds = holding(architecture)
    return {
        spec.name: spec
        for part in _known_parts(architecture)
        for spec in part.hyperparameters
        if holds(spec.when) and spec.name not in architecture.unknown
    }


def _known_parts(architecture: Architecture) -> list[Part]:
    without = {*architecture.unknown, *(_IN_LAYERS if "decoder_layer" in architecture.unknown else ())}
    return [part for part in all_parts() if part.name not in without]


def needed_axes(architecture: Architecture) -> list[AxisSpec]:
    """The axes that the parts of `architecture` need, in the order of the config."""
    holds = holding(architecture)
    needed = [spec for part in _known_parts(architecture) for spec in part.axes if holds(spec.when)]
    sizes = _evaluated((spec.size for spec in needed if "{" in spec.size), architecture)
    known = [replace(spec, size=sizes.get(spec.size, spec.size)) for spec in needed]
    own = {name: size for unknown in architecture.unknown.values() for name, size in unknown.axes.items()}
    return [*known, *(_unknown_axis(name, size) for name, size in own.items())]


def _unknown_axis(name: str, size: str) -> AxisSpec:
    """An axis of a module that is unknown."""
    return AxisSpec(attribute(name), name, size)


def attribute(axis: str) -> str:
    """The config's property for an axis: `two_out` -> `TwoOut`"""
    return "".join(word[:1].upper() + word[1:] for word in axis.split("_"))
