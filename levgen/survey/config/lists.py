"""Config fields with one entry a layer: which layers have a window, which rotate."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, get_args

from levgen.architecture.layer import MixerType
from levgen.reference.runs import expanded, is_runs


@dataclass(frozen=True)
class ListKind:
    """Lists in which an entry says whether a layer has what `measure` holds. `says`: entry -> yes, no, or None."""

    role: str
    measure: str
    says: Callable[[Any], bool | None]
    runs: bool = False


def _named(yes: Any, no: Any) -> Callable[[Any], bool | None]:
    def says(entry: Any) -> bool | None:
        return True if entry == yes else False if entry == no else None

    return says


def _theta(entry: Any) -> bool | None:
    return float(entry) != 0.0 if isinstance(entry, float) and (entry == 0.0 or entry > 1.0) else None


def _mixes(entry: Any) -> bool | None:
    """Whether layers of a type have something else in the place of attention."""
    kinds = [kind for kind in get_args(MixerType) if kind != "none"]
    return True if entry in kinds else False if entry == "full_attention" else None


# As a card has them.
KINDS = (
    ListKind("layer_types", "windowed", _named("sliding_attention", "full_attention")),
    ListKind("layer_types", "windowed", _named("chunked_attention", "full_attention")),
    ListKind("rope_layers", "rotating", _named(1, 0)),
    ListKind("layer_thetas", "rotating", _theta),
    ListKind("mlp_layer_types", "sparse", _named("sparse", "dense")),
    ListKind("indexer_types", "indexed", _named("full", "shared")),
    ListKind("attention_types", "windowed", _named("local", "global"), runs=True),
    ListKind("mixer_types", "mixer", _mixes),
)


def kind_of(runs: list[tuple[Any, Any]]) -> ListKind | None:
    """The kind of list that agrees with what was measured in every config: (the field's value, measures)."""
    return next((kind for kind in KINDS if all(agrees(kind, value, measures) for value, measures in runs)), None)


def agrees(kind: ListKind, value: Any, measures: Any) -> bool:
    """Whether a list says of each layer that was examined what was measured."""
    if measures is None or not value or is_runs(value) != kind.runs:
        return False
    entries = expanded(value)
    said = [kind.says(entry) for entry in entries]
    held = getattr(measures, kind.measure)
    return None not in said and len(entries) == measures.num_layers and tuple(said[: len(held)]) == held


def sees_nothing(window: Any, types: Any) -> bool:
    """Whether a list gives a layer a window, whose size a switch has made 0: no key is left to be seen in it, and a
    softmax over none is no function of a model."""
    return window == 0 and isinstance(types, list) and "sliding_attention" in types


def altered(value: list[Any]) -> Iterator[list[Any]]:
    """`value` with one entry altered, to another that occurs, that transformers knows, or that turns something off."""
    from transformers.configuration_utils import ALLOWED_LAYER_TYPES

    if is_runs(value):
        pattern, times = value[0]
        yield [[list(reversed(pattern)), times], *value[1:]]
        return
    known = set(ALLOWED_LAYER_TYPES)
    others: list[Any] = [item for index, item in enumerate(value) if item not in value[:index]]
    if value and all(isinstance(item, str) and item in known for item in value):
        others += ["sliding_attention", "full_attention"]
    if value and all(item in ("dense", "sparse") for item in value):
        others += ["dense", "sparse"]
    if value and all(item in (0, 1) for item in value):
        others += [0, 1]
    if value and all(isinstance(item, float) for item in value):
        others += [0.0]
    for index in (0, len(value) - 1):
        for other in others:
            if value and other != value[index]:
                yield [*value[:index], other, *value[index + 1 :]]
