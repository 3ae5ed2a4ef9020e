"""Layers of every kind that a class has within the few of a tiny config."""

import itertools
from collections.abc import Mapping
from typing import Any, get_args

from levgen.reference.find import Found
from levgen.reference.sizing.experts import LAYER_NUMBER, weights_of_experts
from levgen.reference.sizing.trial import PROBE_LENGTH, moves_logits, problem_with, weight_shapes
from levgen.reference.sizing.values import ABSENT_SIZE, DEPTH, THETAS, WINDOW, is_int


def with_rotation_by_type(found: Found, fields: Mapping[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """`values` with parameters of the rotation for each type of layer, where a class has none by default."""
    kinds = ("sliding_attention", "full_attention")
    rotations = {kind: {"rope_type": "default", "rope_theta": theta} for kind, theta in zip(kinds, THETAS, strict=True)}
    empty = [name for name, value in fields.items() if value == {}]
    lists = [name for name, value in fields.items() if isinstance(value, list) and value and set(value) <= set(kinds)]
    for mapping, types in itertools.product(empty, lists):
        other = {**values, mapping: rotations, types: [kinds[index % 2] for index in range(DEPTH)]}
        if problem_with(found, other) is None:
            return other
    return values


def with_short_windows(found: Found, fields: Mapping[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """`values` with whatever limits how far a position sees cut below the length of a probe."""
    shapes = None
    for name, value in fields.items():
        if not is_int(value) or value <= PROBE_LENGTH or name in values:
            continue
        shorter = {**values, name: WINDOW}
        shapes = shapes or weight_shapes(found, values)
        if weight_shapes(found, shorter) == shapes and moves_logits(found, values, shorter):
            values = shorter
    return values


def with_layer_types(found: Found, fields: Mapping[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """`values` with the switch on without which a list of the layers' types does nothing."""
    from transformers.configuration_utils import ALLOWED_LAYER_TYPES

    for name, value in fields.items():
        if not isinstance(value, list) or not value or any(entry not in ALLOWED_LAYER_TYPES for entry in value):
            continue
        held = getattr(found.config(**values), name)
        mixed = [("sliding_attention", "full_attention")[index % 2] for index in range(len(held))]
        if moves_logits(found, values, {**values, name: mixed}) or len(set(held)) > 1:
            continue
        for switch, off in fields.items():
            on = {**values, switch: True}
            acts = off is False and moves_logits(found, values, {**on, name: mixed})
            if acts and not moves_logits(found, values, on):
                values = on
                break
    return values


def with_other_mixers(found: Found, fields: Mapping[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """`values` with layers of two types in turn, where a list by layer has one alone, and layers of another type, with
    something else in the place of attention, hold other tensors."""
    from levgen.architecture.layer import MixerType

    kinds = [kind for kind in get_args(MixerType) if kind != "none"]
    for name, value in fields.items():
        if not isinstance(value, list) or len(set(map(str, value))) != 1 or value[0] not in ("full_attention", *kinds):
            continue
        base = weight_shapes(found, values) or {}
        for kind in kinds if value[0] == "full_attention" else value[:1]:
            mixed = {**values, name: [(kind, "full_attention")[index % 2] for index in range(DEPTH)]}
            if set(weight_shapes(found, mixed) or base) != set(base) and problem_with(found, mixed) is None:
                return mixed
    return values


def with_dense_layer(found: Found, fields: Mapping[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """`values` with a first layer without experts, where a list by layer says that all have some, a list of the numbers
    of those without is empty, one of those with them holds all, or how many are without is 0."""
    for name, value in fields.items():
        if isinstance(value, list) and value and all(entry == "sparse" for entry in value):
            mixed = {**values, name: ["dense", *["sparse"] * (DEPTH - 1)]}
            if problem_with(found, mixed) is None:
                return mixed
    base = weights_of_experts(weight_shapes(found, values) or {})
    without: dict[str, Any] = {name: [0] for name, value in fields.items() if value == [] and name not in values}
    held = found.config(**values) if base else None
    every = [*range(DEPTH)]
    without |= {name: every[1:] for name in fields if name not in values and getattr(held, name, None) == every}
    without |= {name: 1 for name, value in fields.items() if is_int(value) and value == 0 and name not in values}
    for name, one in without.items() if base else ():
        mixed = {**values, name: one}
        lost = base - weights_of_experts(weight_shapes(found, mixed) or {})
        of_first = all(LAYER_NUMBER.findall(each)[:1] == ["0"] for each in lost)
        if lost and of_first and problem_with(found, mixed) is None:
            return mixed
    return values


def with_shared_choice(found: Found, fields: Mapping[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """`values` with a last layer that sees the keys chosen before it, where a list by layer says that all choose."""
    for name, value in fields.items():
        if isinstance(value, list) and value and all(entry == "full" for entry in value):
            mixed = {**values, name: [*["full"] * (DEPTH - 1), "shared"]}
            if problem_with(found, mixed) is None:
                return mixed
    return values


def with_absent_parts(found: Found, fields: Mapping[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """`values` with a small size where a size of 0 leaves a part out: another adds tensors that are as wide, or twice
    as wide, to every layer, and changes nothing else."""
    base = weight_shapes(found, values) or {}
    for name, value in fields.items() if base else ():
        if not is_int(value) or value != 0 or name in values:
            continue
        other = {**values, name: ABSENT_SIZE}
        shapes = weight_shapes(found, other) or {}
        added = {key: shape for key, shape in shapes.items() if key not in base}
        in_layers = {tuple(LAYER_NUMBER.findall(key)[:1]) for key in added}
        everywhere = in_layers == {(str(index),) for index in range(DEPTH)}
        wide = all({ABSENT_SIZE, 2 * ABSENT_SIZE} & set(shape) for shape in added.values())
        kept = {key: shape for key, shape in shapes.items() if key in base} == base
        if everywhere and wide and kept and problem_with(found, other) is None:
            values, base = other, shapes
    return values


def with_factors(found: Found, fields: Mapping[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """`values` with every factor of 1.0 that matters moved off it."""
    factor = 0.75
    for name, value in fields.items():
        if isinstance(value, float) and value == 1.0 and name not in values:
            other = {**values, name: factor}
            if moves_logits(found, values, other):
                values = other
                factor += 0.0625
    return values
