"""How many experts there are, and to how many a token goes: fields found by what they change."""

import itertools
import re
from collections.abc import Mapping
from typing import Any

from levgen.reference.find import Found
from levgen.reference.sizing.trial import moves_logits, problem_with, weight_shapes
from levgen.reference.sizing.values import CHOSEN, EXPERTS, OPEN_EXPERTS, is_int

_NESTED = re.compile(r"\.\d+\..*\.(\d+)\.")
LAYER_NUMBER = re.compile(r"\.(\d+)\.")


def with_few_experts(found: Found, fields: Mapping[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """`values` with a small number of experts, that groups of several sizes divide: the first axis of 3-D parameters,
    or how many equal modules there are."""
    base = weight_shapes(found, values)
    if base is None:
        # A class may leave its numbers of experts open.
        unset = [name for name, value in fields.items() if value is None and name not in values]
        for count in range(1, min(len(unset), len(OPEN_EXPERTS)) + 1):
            for chosen in itertools.permutations(unset, count):
                opened = {**values, **dict(zip(chosen, OPEN_EXPERTS, strict=False))}
                if count_experts(weight_shapes(found, opened) or {}) == EXPERTS and problem_with(found, opened) is None:
                    return opened
        return values
    for name, value in fields.items():
        if not is_int(value) or value < 1 or name in values:
            continue
        few = {**values, name: EXPERTS}
        shapes = None if value == EXPERTS else weight_shapes(found, few)
        if shapes is not None and count_experts(shapes) == EXPERTS and count_experts(base) == value:
            return few
    return values


def count_experts(shapes: Mapping[str, tuple[int, ...]]) -> int | None:
    """How many experts a model with parameters of these shapes has; None where nothing is stacked or numbered so."""
    stacked = {shape[0] for shape in shapes.values() if len(shape) == 3}
    if len(stacked) == 1:
        return stacked.pop()
    rows, width = _rows_of_all(shapes) or (0, 0)
    counts = {shape[0] for shape in shapes.values() if len(shape) == 2 and shape[1] == width and 1 < shape[0] < rows}
    sharing = [count for count in sorted(counts) if rows % count == 0]
    if sharing:
        return sharing[0]
    # Numbered modules inside of numbered layers.
    numbers = {int(found[1]) for name in shapes if (found := _NESTED.search(name))}
    return max(numbers) + 1 if numbers else None


def _rows_of_all(shapes: Mapping[str, tuple[int, ...]]) -> tuple[int, int] | None:
    """The shape of the matrices, two or more in one module, in which the rows of all experts may lie; None of none."""
    held: dict[str, list[tuple[int, int]]] = {}
    for name, shape in shapes.items():
        if len(shape) == 2:
            held.setdefault(name.rpartition(".")[0], []).append((shape[0], shape[1]))
    return next((own[0] for own in held.values() if len(own) > 1 and len(set(own)) == 1), None)


def with_few_chosen(found: Found, fields: Mapping[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """`values` with two or three experts a token, of the few that there are, and where it can be in three groups."""
    base = weight_shapes(found, values)
    if base is None or count_experts(base) != EXPERTS:
        return values
    counts = {name: value for name, value in fields.items() if is_int(value) and name not in values}
    many = [name for name, value in counts.items() if value > CHOSEN]
    ones = [name for name, value in counts.items() if value == 1]
    for name in (*many, *ones):
        other = {**values, name: CHOSEN}
        if weight_shapes(found, other) == base and moves_logits(found, values, other):
            values = other
            if name in ones:  # how many of the groups are kept is left at one
                break
    return values


def with_groups_left_out(found: Found, fields: Mapping[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """`values` with one less for one of several fields that a class leaves open and that have one size here: else all
    groups of experts that there are would be kept."""
    opened = [name for name, size in values.items() if size == CHOSEN and fields.get(name, size) is None]
    base = weight_shapes(found, values)
    for name in opened if len(opened) > 1 else ():
        fewer = {**values, name: CHOSEN - 1}
        if weight_shapes(found, fewer) == base and moves_logits(found, values, fewer):
            return fewer
    return values


def weights_of_experts(shapes: Mapping[str, tuple[int, ...]]) -> set[str]:
    """The names of parameters that are stacked, or numbered inside of numbered layers, as those of experts are."""
    return {name for name, shape in shapes.items() if len(shape) == 3 or _NESTED.search(name)}
