"""Sizes by experiment: fields changed one by one, on the meta device, to see what each is the size of."""

import itertools
import time
from collections.abc import Iterator, Mapping
from typing import Any

from levgen.errors import LevgenError
from levgen.reference.find import Found
from levgen.reference.sizing.experts import count_experts
from levgen.reference.sizing.trial import PATIENCE, problem_with, weight_shapes
from levgen.reference.sizing.values import (
    CHOSEN,
    DEPTH,
    EXPERT_GROUPS,
    EXPERTS,
    HEAD_DIM,
    HEAD_PARTS,
    HEADS,
    HEADS_BESIDE,
    INNER,
    KV_HEADS,
    LENGTH,
    SMALL_SIZES,
    STANDARD,
    WIDTH,
    is_int,
)

_LARGE = 512  # of an axis


def shorter_lists(found: Found, fields: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """The lists of a `config.json` with an entry for each layer, for as many as the tiny config has: of every kind."""
    depths = {fields[name] for name, size in values.items() if size == DEPTH and name in fields}
    shorter = {}
    for name, value in found.values.items():
        if isinstance(value, list) and len(value) > DEPTH and len(value) in depths:
            missing = [entry for entry in value[DEPTH:] if entry not in value[:DEPTH]]
            kinds = [entry for at, entry in enumerate(missing) if entry not in missing[:at]][: DEPTH - 1]
            shorter[name] = [*value[: DEPTH - len(kinds)], *kinds]
    return shorter


def with_narrow_heads(found: Found, fields: Mapping[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """`values` with small sizes for the parts that a head is made of, where its width is a sum, and for the width of
    its values: what one more of a field adds to some tensor is one for each head."""
    base = weight_shapes(found, values)
    heads = [size for size in values.values() if size == HEADS]
    if base is None or not heads:
        return values
    sizes = iter(HEAD_PARTS)
    for name, value in fields.items():
        if not is_int(value) or value < 8 or name in values:
            continue
        shapes = [weight_shapes(found, {**values, name: size}) for size in (value, value + 2)]
        if shapes[0] is None or shapes[1] is None or shapes[0].keys() != shapes[1].keys():
            continue
        growing = [
            after - before
            for key, shape in shapes[0].items()
            if len(shape) > 1  # no table of frequencies
            for before, after in zip(shape, shapes[1][key], strict=True)
        ]
        grown = set(growing)
        # Values are as wide as one matrix of each layer takes in, and come from fewer heads.
        of_values = growing.count(2 * HEADS) == DEPTH and grown <= {0, 2 * KV_HEADS, 4 * KV_HEADS, 2 * HEADS}
        of_parts = 2 * HEADS in grown and grown <= {0, 2, 2 * HEADS}
        if (of_parts or of_values) and (size := next(sizes, None)) is not None:
            values = {**values, name: size}
    return values


def fitted(found: Found, fields: Mapping[str, Any], values: dict[str, Any], problem: str) -> dict[str, Any] | None:
    """`values` without what keeps sizes from fitting each other; None where the config doesn't run all the same.

    A change is kept where the config gets further with it, to another problem or to none.
    """
    declared = getattr(found.config_class, "__dataclass_fields__", {})
    changes: list[dict[str, Any]] = [{name: HEADS} for name, size in values.items() if size == KV_HEADS]
    # What a class doesn't declare it computes from other fields; where it is given, that stands instead.
    changes += [{name: None} for name in values if name not in declared]
    changes += [{name: CHOSEN} for name, value in fields.items() if value is None and name not in values]
    # What is as large as the heads are many, at full size, or as the experts are, may be a width all the same.
    widths = [name for name, size in values.items() if size == HEADS and name not in STANDARD]
    widths += [name for name, size in values.items() if size == EXPERTS][1:]  # the first is how many experts there are
    changes += [{name: HEAD_DIM} for name in widths]
    # Groups are as many as divide the experts.
    few = count_experts(weight_shapes(found, values) or {}) == EXPERTS
    uneven = [name for name, value in fields.items() if is_int(value) and 1 < value < EXPERTS and EXPERTS % value]
    changes += [{name: EXPERT_GROUPS} for name in uneven if few and name not in values]
    for change in [*changes, *changes]:  # what one is for may show after another only
        dropped = {name for name, size in change.items() if size is None}
        other = {name: size for name, size in {**values, **change}.items() if name not in dropped}
        left = problem_with(found, other)
        if left is None:
            return other
        if left != problem:
            values, problem = other, left
    return None


def without_large(found: Found, fields: Mapping[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """`values` with small numbers for whatever else makes a tensor large."""
    base = weight_shapes(found, values)
    if base is None or _largest(base) <= _LARGE:
        return values
    size = INNER
    for name, value in fields.items():
        if is_int(value) and value >= 128 and name not in values:
            # Two fields that are equal at full size may have to be.
            twin = next((values[key] for key in values if fields.get(key) == value), None)
            alike = None if twin is None else weight_shapes(found, {**values, name: twin})
            if alike is not None:
                values = values if alike == base else {**values, name: twin}
                base = alike
                continue
            other = weight_shapes(found, {**values, name: size})
            if other is not None and other != base:
                values = {**values, name: size}
                base, size = other, size + 8
    return _with_few_heads_beside(found, fields, values, base)


def _with_few_heads_beside(
    found: Found, fields: Mapping[str, Any], values: dict[str, Any], base: dict[str, tuple[int, ...]]
) -> dict[str, Any]:
    """`values`, whose tensors are `base`, with few of what are many and small, such as the heads of an indexer: each
    one more makes the largest tensor longer, and no tensor goes."""
    for name, value in fields.items():
        if _largest(base) <= _LARGE:
            break
        if is_int(value) and 16 <= value < 128 and name not in values:
            fewer = weight_shapes(found, {**values, name: HEADS_BESIDE})
            if fewer is not None and fewer.keys() == base.keys() and _largest(fewer) < _largest(base):
                values, base = {**values, name: HEADS_BESIDE}, fewer
    return values


def _largest(shapes: Mapping[str, tuple[int, ...]]) -> int:
    """The longest axis of any tensor."""
    return max(size for shape in shapes.values() for size in (*shape, 0))


def repaired(found: Found, fields: Mapping[str, Any], values: dict[str, Any], problem: str) -> dict[str, Any]:
    """`values` with other numbers of heads, more fields made small, or sizes left out, until the config runs."""
    left = [name for name, value in fields.items() if is_int(value) and value > 1 and name not in values]
    start = time.monotonic()
    others: list[dict[str, Any]] = [{}, *({name: 4} for name, size in values.items() if size == HEADS)]
    for other in others:
        for name, size in [("", 0), *itertools.product(left, SMALL_SIZES)]:
            if time.monotonic() - start > PATIENCE:
                break
            small = {name: size} if name and size < fields[name] else {}
            if (other or small) and problem_with(found, {**values, **other, **small}) is None:
                return {**values, **other, **small}
    sized = [name for name in values if name in fields and not name.endswith("token_id") and name != "vocab_size"]
    for name in sized:
        fewer = {key: value for key, value in values.items() if key != name}
        if problem_with(found, fewer) is None:
            return fewer
    for size in SMALL_SIZES:
        small = {**values, **{name: min(size, fields[name]) for name in left}}
        if problem_with(found, small) is None:
            return small
    # Some have a key head to each head, whatever their fields say, and a width of a head that others decide.
    alike = {**values, **{name: HEADS for name, size in values.items() if size == KV_HEADS}}
    for name in ("", *sized):
        fewer = {key: value for key, value in alike.items() if key != name}
        if problem_with(found, fewer) is None:
            return fewer
    raise LevgenError(f"no tiny config of {found.model_type} was found: {problem[:300]}")


def sizes_by_experiment(found: Found, fields: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Sizes for fields of unknown names, from which parameters change shape when a field is changed."""
    ints = {name: value for name, value in fields.items() if is_int(value) and value > 1 and name not in values}
    base = weight_shapes(found, {})
    if base is None:
        return {}
    effects: dict[str, dict[str, tuple[int, ...]]] = {}
    sizes: dict[str, Any] = {}
    for name, value in ints.items():
        tried = (weight_shapes(found, {name: other}) for other in (2 * value, value // 2))
        other = next((shapes for shapes in tried if shapes is not None), None)
        if other is None:
            continue
        if count_experts(base) == value != count_experts(other):
            sizes[name] = EXPERTS
        elif set(other) != set(base):
            sizes[name] = DEPTH
        else:
            effects[name] = {key: shape for key, shape in other.items() if shape != base[key]}
    changing = {name: effect for name, effect in effects.items() if effect}
    if not changing:
        return sizes
    # What most tensors depend on is the width.
    width = max(changing, key=lambda name: len(changing[name]))
    sizes[width] = WIDTH
    heads: list[str] = []
    inner = INNER
    for name, effect in changing.items():
        if name == width:
            continue
        value = ints[name]
        if _is_table(base, effect):
            sizes[name] = LENGTH
            continue
        # A number of heads is small; of the width of a head each one more adds a row for every head.
        step = min(_common(base[key], shape, value) for key, shape in effect.items())
        if value <= 64 or (step >= 4 and value <= 512):
            heads.append(name)
        else:
            sizes[name] = inner
            inner += 8
    still = [name for name, value in ints.items() if name not in changing and name not in sizes and 1 < value <= 256]
    for assigned in _assignments([*heads, *still], len(heads)):
        if problem_with(found, {**values, **sizes, **assigned}) is None:
            return {**sizes, **assigned}
    return sizes


def _is_table(base: Mapping[str, tuple[int, ...]], effect: Mapping[str, tuple[int, ...]]) -> bool:
    """Whether a field is the length of one table, such as that of positions: whatever lies between two maps has two."""
    (name, shape), *more = effect.items()
    return not more and len(shape) == 2 and base[name][1] == shape[1]


def _assignments(names: list[str], needed: int) -> Iterator[dict[str, int]]:
    """Ways to deal out heads, key heads and width of a head: the first `needed` names get one each."""
    for count in range(needed, min(len(names), 3) + 1):
        for chosen in itertools.permutations(names, count):
            if set(names[:needed]) <= set(chosen):
                yield dict(zip(chosen, (HEADS, KV_HEADS, HEAD_DIM), strict=False))


def _common(before: tuple[int, ...], after: tuple[int, ...], value: int) -> int:
    """How many rows or columns one more of a field adds."""
    changed = [abs(a - b) for a, b in zip(before, after, strict=False) if a != b]
    return max(changed, default=0) // max(value, 1) if changed else 0
