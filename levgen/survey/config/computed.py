"""Fields that the config class itself computes from others: nothing of the model is read from them."""

import itertools
from collections.abc import Iterable, Mapping
from typing import Any

from levgen.reference.sizing.values import is_int
from levgen.survey.config.field_map import FieldMap
from levgen.survey.config.trials import Trials


def computed_from(trials: Trials, found: FieldMap, hf: str) -> str | None:
    """What a field always is in terms of fields that are read: a switch of a window, a size, or a list of one entry."""
    shown = _absence(trials, found, hf) or _follower(trials, found, hf) or _repeated(trials, found, hf)
    return shown or (None if trials.of(hf) else _one_word(trials, found, hf))


def _absence(trials: Trials, found: FieldMap, hf: str) -> str | None:
    """A switch that is nothing but whether the window's field is set: the config class itself makes that None or 0."""
    window = found.sizes.get("sliding_window")
    if window is None or trials.fields[hf] is not False:
        return None
    try:
        on, off = (trials.tiny.config(**{window: 7, hf: switch}) for switch in (True, False))
        held = (getattr(on, window), getattr(off, window))
    except Exception:
        return None
    return {(7, None): f"{window} is not None", (7, 0): f"{window} > 0"}.get(held)


def _follower(trials: Trials, found: FieldMap, hf: str) -> str | None:
    """The size that a field is always equal to, or one less than, or the sum of two: the config class sees to it."""
    if not is_int(trials.base.values[hf]):
        return None
    runs = [trial.values for trial in trials.examined if hf not in trial.changes]
    sizes = [name for name in found.sizes.values() if "." not in name]
    alone, pairs = [((size,), less) for size in sizes for less in (0, 1)], itertools.combinations(sizes, 2)
    for parts, less in [*alone, *((pair, 0) for pair in pairs)]:
        every = [(held[hf], _sum(held, parts)) for held in (trials.fields, *runs)]
        if (
            all(total is not None and own == total - less for own, total in every)
            and len({a for a, _ in every[1:]}) > 1
        ):
            return f"{' + '.join(parts)} - {less}" if less else " + ".join(parts)
    return None


def _repeated(trials: Trials, found: FieldMap, hf: str) -> str | None:
    """The size that a list has as often as there are layers, as the config class itself sees to."""
    layers = found.sizes.get("num_layers")
    if layers is None or not isinstance(trials.fields[hf], list):
        return None
    runs = [trial.values for trial in trials.examined if hf not in trial.changes]
    for other in found.sizes.values():
        held = [(values[hf], [values[other]] * values[layers]) for values in (trials.fields, *runs)]
        if all(own == repeated for own, repeated in held) and len({repeated[0] for _, repeated in held[1:]}) > 1:
            return f"[{other}] * {layers}"
    return None


def _one_word(trials: Trials, found: FieldMap, hf: str) -> str | None:
    """The word that a list holds as often as there are layers, in every config: no other was tried, and none passes."""
    layers, default = found.sizes.get("num_layers"), trials.fields[hf]
    if layers is None or not isinstance(default, list) or not default or not isinstance(default[0], str):
        return None
    word = default[0]
    runs = [trial.values for trial in trials.examined]
    holds = all(values[hf] == [word] * values[layers] for values in (trials.fields, *runs))
    varied = len({values[layers] for values in runs}) > 1
    return f"['{word}'] * {layers}" if holds and varied and word.isidentifier() else None


def _sum(values: Mapping[str, Any], names: Iterable[str]) -> int | None:
    numbers = [values[name] for name in names]
    return sum(numbers) if all(is_int(number) for number in numbers) else None
