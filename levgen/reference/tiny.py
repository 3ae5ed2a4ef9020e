"""A tiny config that reveals: found by rule, not by hand.

Every size unlike every other, several query heads to a key head, heads x width unlike the model's width, a window
shorter than the probe, factors off 1. Sizes go by transformers' own names for them; a config with other names has its
fields changed one by one, on the meta device, to see what each is the size of. What is proposed is built and run.
"""

import itertools
import re
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, get_args

from levgen.errors import LevgenError
from levgen.reference.find import Found
from levgen.reference.given import with_given
from levgen.reference.randomize import build, token_ids
from levgen.reference.runs import is_runs, shortened

VOCAB, WIDTH, DEPTH, HEADS, KV_HEADS, HEAD_DIM, INNER, LENGTH, WINDOW = 131, 96, 4, 6, 2, 24, 80, 112, 8
EXPERTS, CHOSEN = 12, 3  # a token goes to 3 of 12
_OPEN = (EXPERTS, CHOSEN, 2)
_GROUPS = 4  # of experts
_ABSENT = 64  # of what a class leaves out
_PARTS = (14, 8, 10)  # of a head whose width is a sum; even, because any may be the one that rotates
_NESTED = re.compile(r"\.\d+\..*\.(\d+)\.")
_LAYER = re.compile(r"\.(\d+)\.")
# transformers' names, in which its configs' `attribute_map` speaks.
STANDARD = {
    "vocab_size": VOCAB,
    "hidden_size": WIDTH,
    "num_hidden_layers": DEPTH,
    "num_attention_heads": HEADS,
    "num_key_value_heads": KV_HEADS,
    "head_dim": HEAD_DIM,
    "intermediate_size": INNER,
    "max_position_embeddings": LENGTH,
    "sliding_window": WINDOW,
}
# Of layers with a window, and of others.
THETAS = (500.0, 10000.0)
_PROBE = 41
_PATIENCE = 15.0  # seconds
_SMALL = (8, 16, 4, 24, 48, 2, 1)


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


def own_fields(found: Found) -> dict[str, Any]:
    """The config's fields with their defaults, but for those that every config of transformers has."""
    from levgen.runtime.hf_config.common import COMMON_FIELDS

    common = set(COMMON_FIELDS) - {"vocab_size"}
    config = found.config()
    fields: dict[str, Any] = config.to_dict()
    # A field that the class itself declares under another name than it writes.
    declared = getattr(found.config_class, "__dataclass_fields__", {})
    aliases = {held: name for name, held in getattr(found.config_class, "attribute_map", {}).items()}
    own = {name: aliases[name] for name in fields if name not in declared and aliases.get(name) in declared}
    named = {own.get(name, name): value for name, value in fields.items() if _is_own(name, common)}
    for name in list(named):
        # A config in the config that is no other model's: its fields are this one's.
        inside: Any = getattr(config, name, None)
        if hasattr(inside, "to_dict") and not getattr(inside, "model_type", ""):
            del named[name]
            entries = {key: value for key, value in inside.to_dict().items() if _is_own(key, set(COMMON_FIELDS))}
            named |= {path: item for key, value in entries.items() for path, item in _entries(f"{name}.{key}", value)}
    return named | dict.fromkeys(unnamed_fields(found))


def _entries(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """A field, or where it is a mapping that names an activation, each of its entries."""
    from transformers.activations import ACT2FN

    names = [entry for entry in value.values() if isinstance(entry, str)] if isinstance(value, Mapping) else []
    if names and all(name in ACT2FN for name in names):
        yield from ((f"{path}.{key}", entry) for key, entry in value.items())
    else:
        yield path, value


def _is_own(name: str, common: Collection[str]) -> bool:
    return name not in common and not name.startswith("_") and name != "is_encoder_decoder"


def unnamed_fields(found: Found) -> tuple[str, ...]:
    """A width of a head that a class reads and doesn't name, where its own sizes don't divide: checkpoints state it."""
    config = found.config()
    width, heads = (getattr(config, name, None) for name in ("hidden_size", "num_attention_heads"))
    if not isinstance(width, int) or not isinstance(heads, int) or width % heads == 0 or hasattr(config, "head_dim"):
        return ()
    narrow, wide = (_shapes(found, {"num_hidden_layers": 1, "head_dim": dim}) for dim in (HEAD_DIM, 2 * HEAD_DIM))
    return () if narrow is None or narrow == wide else ("head_dim",)


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
        values |= _by_experiment(found, fields, values)
    values |= {name: shortened(value, DEPTH) for name, value in fields.items() if is_runs(value)}
    values |= _shorter_lists(found, fields, values)
    values = _with_few_experts(found, fields, values)
    values = _with_narrow_heads(found, fields, values)
    values = _without_large(found, fields, values)
    problem = _problem(found, values)
    if problem is not None:
        fitting = _fitting(found, fields, values, problem)
        values, problem = (values, problem) if fitting is None else (fitting, None)
    if problem is not None:
        values = _with_rotation_by_type(found, fields, values)
        problem = _problem(found, values)
    if problem is not None and _problem(found, values, "float32") is None:
        return Tiny(found, values, "float32", unnamed=unnamed_fields(found))
    if problem is not None:
        values = _repaired(found, fields, values, problem)
    values = _with_short_windows(found, fields, values)
    values = _with_layer_types(found, fields, values)
    values = _with_other_mixers(found, fields, values)
    values = _with_dense_layer(found, fields, values)
    values = _without_large(found, fields, values)  # a layer without experts may be as wide as at full size
    values = _with_few_chosen(found, fields, values)
    values = _with_absent_parts(found, fields, values)
    values = _with_groups_left_out(found, fields, values)
    return Tiny(found, _with_factors(found, fields, values), unnamed=unnamed_fields(found))


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


def _shorter_lists(found: Found, fields: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """The lists of a `config.json` with an entry for each layer, for as many as the tiny config has: of every kind."""
    depths = {fields[name] for name, size in values.items() if size == DEPTH and name in fields}
    shorter = {}
    for name, value in found.values.items():
        if isinstance(value, list) and len(value) > DEPTH and len(value) in depths:
            missing = [entry for entry in value[DEPTH:] if entry not in value[:DEPTH]]
            kinds = [entry for at, entry in enumerate(missing) if entry not in missing[:at]][: DEPTH - 1]
            shorter[name] = [*value[: DEPTH - len(kinds)], *kinds]
    return shorter


def _problem(found: Found, values: Mapping[str, Any], dtype: str = "float64") -> str | None:
    """Why a config can't be built and run, else None."""
    import torch

    try:
        model = build(found, found.config(**values), dtype=dtype)
        with torch.no_grad():
            model(token_ids(VOCAB, _PROBE))
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def _with_few_experts(found: Found, fields: Mapping[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """`values` with a small number of experts, that groups of several sizes divide: the first axis of 3-D parameters,
    or how many equal modules there are."""
    base = _shapes(found, values)
    if base is None:
        # A class may leave its numbers of experts open.
        unset = [name for name, value in fields.items() if value is None and name not in values]
        for count in range(1, min(len(unset), len(_OPEN)) + 1):
            for chosen in itertools.permutations(unset, count):
                opened = {**values, **dict(zip(chosen, _OPEN, strict=False))}
                if _experts(_shapes(found, opened) or {}) == EXPERTS and _problem(found, opened) is None:
                    return opened
        return values
    for name, value in fields.items():
        if not is_int(value) or value < 1 or name in values:
            continue
        few = {**values, name: EXPERTS}
        shapes = None if value == EXPERTS else _shapes(found, few)
        if shapes is not None and _experts(shapes) == EXPERTS and _experts(base) == value:
            return few
    return values


def _experts(shapes: Mapping[str, tuple[int, ...]]) -> int | None:
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


def _with_few_chosen(found: Found, fields: Mapping[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """`values` with two or three experts a token, of the few that there are, and where it can be in three groups."""
    base = _shapes(found, values)
    if base is None or _experts(base) != EXPERTS:
        return values
    counts = {name: value for name, value in fields.items() if is_int(value) and name not in values}
    many = [name for name, value in counts.items() if value > CHOSEN]
    ones = [name for name, value in counts.items() if value == 1]
    for name in (*many, *ones):
        other = {**values, name: CHOSEN}
        if _shapes(found, other) == base and _moves(found, values, other):
            values = other
            if name in ones:  # how many of the groups are kept is left at one
                break
    return values


def _with_groups_left_out(found: Found, fields: Mapping[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """`values` with one less for one of several fields that a class leaves open and that have one size here: else all
    groups of experts that there are would be kept."""
    opened = [name for name, size in values.items() if size == CHOSEN and fields.get(name, size) is None]
    base = _shapes(found, values)
    for name in opened if len(opened) > 1 else ():
        fewer = {**values, name: CHOSEN - 1}
        if _shapes(found, fewer) == base and _moves(found, values, fewer):
            return fewer
    return values


def _with_narrow_heads(found: Found, fields: Mapping[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """`values` with small sizes for the parts that a head is made of, where its width is a sum, and for the width of
    its values: what one more of a field adds to some tensor is one for each head."""
    base = _shapes(found, values)
    heads = [size for size in values.values() if size == HEADS]
    if base is None or not heads:
        return values
    sizes = iter(_PARTS)
    for name, value in fields.items():
        if not is_int(value) or value < 8 or name in values:
            continue
        shapes = [_shapes(found, {**values, name: size}) for size in (value, value + 2)]
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


def _fitting(found: Found, fields: Mapping[str, Any], values: dict[str, Any], problem: str) -> dict[str, Any] | None:
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
    few = _experts(_shapes(found, values) or {}) == EXPERTS
    uneven = [name for name, value in fields.items() if is_int(value) and 1 < value < EXPERTS and EXPERTS % value]
    changes += [{name: _GROUPS} for name in uneven if few and name not in values]
    for change in [*changes, *changes]:  # what one is for may show after another only
        dropped = {name for name, size in change.items() if size is None}
        other = {name: size for name, size in {**values, **change}.items() if name not in dropped}
        left = _problem(found, other)
        if left is None:
            return other
        if left != problem:
            values, problem = other, left
    return None


def _without_large(found: Found, fields: Mapping[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """`values` with small numbers for whatever else makes a tensor large."""
    base = _shapes(found, values)
    if base is None or max(size for shape in base.values() for size in (*shape, 0)) <= 512:
        return values
    size = INNER
    for name, value in fields.items():
        if is_int(value) and value >= 128 and name not in values:
            # Two fields that are equal at full size may have to be.
            twin = next((values[key] for key in values if fields.get(key) == value), None)
            alike = None if twin is None else _shapes(found, {**values, name: twin})
            if alike is not None:
                values = values if alike == base else {**values, name: twin}
                base = alike
                continue
            other = _shapes(found, {**values, name: size})
            if other is not None and other != base:
                values = {**values, name: size}
                base, size = other, size + 8
    return values


def _with_rotation_by_type(found: Found, fields: Mapping[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """`values` with parameters of the rotation for each type of layer, where a class has none by default."""
    kinds = ("sliding_attention", "full_attention")
    rotations = {kind: {"rope_type": "default", "rope_theta": theta} for kind, theta in zip(kinds, THETAS, strict=True)}
    empty = [name for name, value in fields.items() if value == {}]
    lists = [name for name, value in fields.items() if isinstance(value, list) and value and set(value) <= set(kinds)]
    for mapping, types in itertools.product(empty, lists):
        other = {**values, mapping: rotations, types: [kinds[index % 2] for index in range(DEPTH)]}
        if _problem(found, other) is None:
            return other
    return values


def _repaired(found: Found, fields: Mapping[str, Any], values: dict[str, Any], problem: str) -> dict[str, Any]:
    """`values` with other numbers of heads, more fields made small, or sizes left out, until the config runs."""
    left = [name for name, value in fields.items() if is_int(value) and value > 1 and name not in values]
    start = time.monotonic()
    others: list[dict[str, Any]] = [{}, *({name: 4} for name, size in values.items() if size == HEADS)]
    for other in others:
        for name, size in [("", 0), *itertools.product(left, _SMALL)]:
            if time.monotonic() - start > _PATIENCE:
                break
            small = {name: size} if name and size < fields[name] else {}
            if (other or small) and _problem(found, {**values, **other, **small}) is None:
                return {**values, **other, **small}
    sized = [name for name in values if name in fields and not name.endswith("token_id") and name != "vocab_size"]
    for name in sized:
        fewer = {key: value for key, value in values.items() if key != name}
        if _problem(found, fewer) is None:
            return fewer
    for size in _SMALL:
        small = {**values, **{name: min(size, fields[name]) for name in left}}
        if _problem(found, small) is None:
            return small
    # Some have a key head to each head, whatever their fields say, and a width of a head that others decide.
    alike = {**values, **{name: HEADS for name, size in values.items() if size == KV_HEADS}}
    for name in ("", *sized):
        fewer = {key: value for key, value in alike.items() if key != name}
        if _problem(found, fewer) is None:
            return fewer
    raise LevgenError(f"no tiny config of {found.model_type} was found: {problem[:300]}")


def _by_experiment(found: Found, fields: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Sizes for fields of unknown names, from which parameters change shape when a field is changed."""
    ints = {name: value for name, value in fields.items() if is_int(value) and value > 1 and name not in values}
    base = _shapes(found, {})
    if base is None:
        return {}
    effects: dict[str, dict[str, tuple[int, ...]]] = {}
    sizes: dict[str, Any] = {}
    for name, value in ints.items():
        other = next((s for s in (_shapes(found, {name: v}) for v in (2 * value, value // 2)) if s is not None), None)
        if other is None:
            continue
        if _experts(base) == value != _experts(other):
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
        if _problem(found, {**values, **sizes, **assigned}) is None:
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


def _shapes(found: Found, values: Mapping[str, Any]) -> dict[str, tuple[int, ...]] | None:
    """Name -> shape of the parameters and buffers of a config; None where it doesn't build."""
    import torch

    try:
        with torch.device("meta"):
            model = found.model_class(found.config(**values))
    except Exception:
        return None
    tensors = itertools.chain(model.named_parameters(), model.named_buffers())
    return {name: tuple(tensor.shape) for name, tensor in tensors}


def _logits(found: Found, values: Mapping[str, Any]) -> Any:
    """Logits [1, T, vocab] of a config with weights by name; None where it doesn't run."""
    import torch

    try:
        with torch.no_grad():
            return build(found, found.config(**values))(token_ids(VOCAB, _PROBE)).logits
    except Exception:
        return None


def _moves(found: Found, values: Mapping[str, Any], changed: Mapping[str, Any]) -> bool:
    before, after = _logits(found, values), _logits(found, changed)
    if before is None or after is None or before.shape != after.shape:
        return False
    return float((before - after).abs().max()) > 1e-6 * float(before.abs().max())


def _with_short_windows(found: Found, fields: Mapping[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """`values` with whatever limits how far a position sees cut below the length of a probe."""
    shapes = None
    for name, value in fields.items():
        if not is_int(value) or value <= _PROBE or name in values:
            continue
        shorter = {**values, name: WINDOW}
        shapes = shapes or _shapes(found, values)
        if _shapes(found, shorter) == shapes and _moves(found, values, shorter):
            values = shorter
    return values


def _with_layer_types(found: Found, fields: Mapping[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """`values` with the switch on without which a list of the layers' types does nothing."""
    from transformers.configuration_utils import ALLOWED_LAYER_TYPES

    for name, value in fields.items():
        if not isinstance(value, list) or not value or any(entry not in ALLOWED_LAYER_TYPES for entry in value):
            continue
        held = getattr(found.config(**values), name)
        mixed = [("sliding_attention", "full_attention")[index % 2] for index in range(len(held))]
        if _moves(found, values, {**values, name: mixed}) or len(set(held)) > 1:
            continue
        for switch, off in fields.items():
            on = {**values, switch: True}
            if off is False and _moves(found, values, {**on, name: mixed}) and not _moves(found, values, on):
                values = on
                break
    return values


def _with_other_mixers(found: Found, fields: Mapping[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """`values` with layers of two types in turn, where a list by layer has one alone, and layers of another type, with
    something else in the place of attention, hold other tensors."""
    from levgen.architecture.schema import MixerType

    kinds = [kind for kind in get_args(MixerType) if kind != "none"]
    for name, value in fields.items():
        if not isinstance(value, list) or len(set(map(str, value))) != 1 or value[0] not in ("full_attention", *kinds):
            continue
        base = _shapes(found, values) or {}
        for kind in kinds if value[0] == "full_attention" else value[:1]:
            mixed = {**values, name: [(kind, "full_attention")[index % 2] for index in range(DEPTH)]}
            if set(_shapes(found, mixed) or base) != set(base) and _problem(found, mixed) is None:
                return mixed
    return values


def _with_dense_layer(found: Found, fields: Mapping[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """`values` with a first layer without experts, where a list by layer says that all have some, a list of the numbers
    of those without is empty, one of those with them holds all, or how many are without is 0."""
    for name, value in fields.items():
        if isinstance(value, list) and value and all(entry == "sparse" for entry in value):
            mixed = {**values, name: ["dense", *["sparse"] * (DEPTH - 1)]}
            if _problem(found, mixed) is None:
                return mixed
    base = _of_experts(_shapes(found, values) or {})
    without: dict[str, Any] = {name: [0] for name, value in fields.items() if value == [] and name not in values}
    held = found.config(**values) if base else None
    every = [*range(DEPTH)]
    without |= {name: every[1:] for name in fields if name not in values and getattr(held, name, None) == every}
    without |= {name: 1 for name, value in fields.items() if is_int(value) and value == 0 and name not in values}
    for name, one in without.items() if base else ():
        mixed = {**values, name: one}
        lost = base - _of_experts(_shapes(found, mixed) or {})
        if lost and all(_LAYER.findall(each)[:1] == ["0"] for each in lost) and _problem(found, mixed) is None:
            return mixed
    return values


def _with_absent_parts(found: Found, fields: Mapping[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """`values` with a small size where a size of 0 leaves a part out: another adds tensors that are as wide, or twice
    as wide, to every layer, and changes nothing else."""
    base = _shapes(found, values) or {}
    for name, value in fields.items() if base else ():
        if not is_int(value) or value != 0 or name in values:
            continue
        other = {**values, name: _ABSENT}
        shapes = _shapes(found, other) or {}
        added = {key: shape for key, shape in shapes.items() if key not in base}
        everywhere = {tuple(_LAYER.findall(key)[:1]) for key in added} == {(str(index),) for index in range(DEPTH)}
        wide = all({_ABSENT, 2 * _ABSENT} & set(shape) for shape in added.values())
        kept = {key: shape for key, shape in shapes.items() if key in base} == base
        if everywhere and wide and kept and _problem(found, other) is None:
            values, base = other, shapes
    return values


def _of_experts(shapes: Mapping[str, tuple[int, ...]]) -> set[str]:
    """The names of parameters that are stacked, or numbered inside of numbered layers, as those of experts are."""
    return {name for name, shape in shapes.items() if len(shape) == 3 or _NESTED.search(name)}


def _with_factors(found: Found, fields: Mapping[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """`values` with every factor of 1.0 that matters moved off it."""
    factor = 0.75
    for name, value in fields.items():
        if isinstance(value, float) and value == 1.0 and name not in values:
            other = {**values, name: factor}
            if _moves(found, values, other):
                values = other
                factor += 0.0625
    return values


def is_int(value: Any) -> bool:
    """Whether `value` is a whole number, and no truth value."""
    return isinstance(value, int) and not isinstance(value, bool)
