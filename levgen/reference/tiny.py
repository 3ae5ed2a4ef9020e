"""A tiny config that reveals: found by rule, not by hand.

Every size unlike every other, several query heads to a key head, heads x width unlike the model's width, a window
shorter than the probe, factors off 1. Sizes go by transformers' own names for them; a config with other names has its
fields changed one by one, on the meta device, to see what each is the size of. What is proposed is built and run.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from levgen.reference.find import Found
from levgen.reference.given import with_given
from levgen.reference.randomize import build
from levgen.reference.runs import is_runs, shortened
from levgen.reference.sizing.experiment import (
    fitted,
    repaired,
    shorter_lists,
    sizes_by_experiment,
    with_narrow_heads,
    without_large,
)
from levgen.reference.sizing.experts import with_few_chosen, with_few_experts, with_groups_left_out
from levgen.reference.sizing.fields import own_fields, unnamed_fields
from levgen.reference.sizing.layers import (
    with_absent_parts,
    with_dense_layer,
    with_factors,
    with_layer_types,
    with_other_mixers,
    with_rotation_by_type,
    with_shared_choice,
    with_short_windows,
)
from levgen.reference.sizing.trial import problem_with
from levgen.reference.sizing.values import DEPTH, STANDARD, WINDOW, is_int


class Filling(Protocol):
    """What replaces modules of a reference in place."""

    def fill(self, model: Any) -> None: ...

    def owns(self, parameter: str) -> bool: ...


@dataclass(frozen=True)
class Tiny:
    """`values`: what the config is made with. `dtype`: the widest that the reference runs in.

    `plugs`: what stands in place of some modules in every model that is built. `unnamed`: see `unnamed_fields`.
    """

    found: Found
    values: dict[str, Any]
    dtype: str = "float64"
    plugs: Filling | None = None
    unnamed: tuple[str, ...] = ()

    def config(self, **changes: Any) -> Any:
        own = {name: value for name, value in self.values.items() if name.partition(".")[0] not in changes}
        values = {**own, **changes}
        unset = {name for name in self.unnamed if values.get(name) is None}
        return self.found.config(**{name: value for name, value in values.items() if name not in unset})

    def build(
        self,
        *,
        dtype: str | None = None,
        random: bool = True,
        std: float = 0.2,
        without: tuple[str, ...] = (),
        **changes: Any,
    ) -> Any:
        """The reference of this config with `changes`, and None in the fields `without`; see `randomize.build`."""
        config = self.config(**changes)
        for name in without:
            setattr(config, name, None)
        return build(self.found, config, dtype=dtype or self.dtype, random=random, std=std, plugs=self.plugs)


def tiny(found: Found) -> Tiny:
    """A config of `found` that builds and runs on CPU in a blink. Raises LevgenError where none is found."""
    found = with_given(found)
    fields = own_fields(found)
    names: Mapping[str, str] = getattr(found.config_class, "attribute_map", {})
    standard = {names.get(name, name): size for name, size in STANDARD.items()}
    values: dict[str, Any] = {name: size for name, size in standard.items() if name in fields}
    values = _by_what_is_read(found, fields, values)
    values |= _tokens(found)
    values |= _switched_on(found, fields, values)
    if names.get("hidden_size", "hidden_size") not in fields:
        values |= sizes_by_experiment(found, fields, values)
    values |= {name: shortened(value, DEPTH) for name, value in fields.items() if is_runs(value)}
    values |= shorter_lists(found, fields, values)
    values = with_few_experts(found, fields, values)
    values = with_narrow_heads(found, fields, values)
    values = without_large(found, fields, values)
    problem = problem_with(found, values)
    if problem is not None:
        fitting = fitted(found, fields, values, problem)
        values, problem = (values, problem) if fitting is None else (fitting, None)
    if problem is not None:
        values = with_rotation_by_type(found, fields, values)
        problem = problem_with(found, values)
    if problem is not None and problem_with(found, values, "float32") is None:
        return Tiny(found, values, "float32", unnamed=unnamed_fields(found))
    if problem is not None:
        values = repaired(found, fields, values, problem)
    values = with_short_windows(found, fields, values)
    values = with_layer_types(found, fields, values)
    values = with_other_mixers(found, fields, values)
    values = with_dense_layer(found, fields, values)
    values = with_shared_choice(found, fields, values)
    values = without_large(found, fields, values)  # a layer without experts may be as wide as at full size
    values = with_few_chosen(found, fields, values)
    values = with_absent_parts(found, fields, values)
    values = with_groups_left_out(found, fields, values)
    return Tiny(found, with_factors(found, fields, values), unnamed=unnamed_fields(found))


def _by_what_is_read(found: Found, fields: Mapping[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """`values` in which the size of a config in the config stands for what the class only makes of it."""
    declared = getattr(found.config_class, "__dataclass_fields__", {})
    inside = [name for name, value in fields.items() if "." in name and is_int(value)]
    read = dict(values)
    for name, size in values.items():
        if name in declared or fields.get(name) == size:
            continue
        source = next((path for path in inside if getattr(found.config(**{path: size}), name, None) == size), None)
        if source is not None:
            del read[name]
            read[source] = size
    return read


def _switched_on(found: Found, fields: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """The switch without which a config class takes a window's size for none."""
    for name, size in values.items():
        if size != WINDOW:
            continue
        try:
            if getattr(found.config(**values), name) == size:
                continue
            for switch, off in fields.items():
                if off is False and getattr(found.config(**{**values, switch: True}), name) == size:
                    return {switch: True}
        except Exception:
            continue
    return {}


def _tokens(found: Found) -> dict[str, int]:
    """Special tokens inside a small vocabulary."""
    fields: dict[str, Any] = found.config().to_dict()
    held = [name for name, value in fields.items() if name.endswith("token_id") and value is not None]
    return {name: index % 3 for index, name in enumerate(held)}
