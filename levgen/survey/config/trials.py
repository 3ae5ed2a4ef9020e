"""What moves when a field of the config changes: the reference is built with each field altered in turn."""

import contextlib
import functools
import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from levgen.reference.randomize import token_ids
from levgen.reference.runs import is_runs
from levgen.reference.sizing.fields import own_fields
from levgen.reference.sizing.values import VOCAB, is_int
from levgen.reference.tiny import Tiny
from levgen.survey.config.lists import altered
from levgen.survey.config.measures import Measures
from levgen.survey.config.model_measures import measure
from levgen.survey.evidence import Unknown, UnresolvedError, broke_off
from levgen.survey.mixture.measures import MIXTURE
from levgen.survey.observe.shapes import LENGTH
from levgen.survey.structure import Structure, find_structure

# Logits that move by less than this part of themselves move by rounding.
ROUNDING = 1e-5
# Computing a part in fp32 instead of fp64 moves the logits of a random model by about 1e-5.
FLOAT32 = 1e-4


@dataclass(frozen=True)
class Snapshot:
    """What a config's model looks like from outside: shapes of its parameters, and logits under weights by name."""

    shapes: dict[str, tuple[int, ...]]
    logits: dict[str, Any]  # by the attention implementation: some fields act in one only

    def change(self, other: "Snapshot") -> float:
        """0 where nothing differs, infinite where shapes do, else how far the logits moved, relatively."""
        if self.shapes != other.shapes:
            return float("inf")
        pairs = [(self.logits[kind], other.logits[kind]) for kind in self.logits if kind in other.logits]
        moved = [float((a - b).abs().max() / a.abs().max()) if a.shape == b.shape else math.inf for a, b in pairs]
        return max(math.inf if math.isnan(one) else one for one in moved)


@dataclass(frozen=True)
class Trial:
    """One altered config. `values`: its fields; `measures`: what it is, or None where that is unknown."""

    changes: dict[str, Any]
    values: dict[str, Any]
    moved: float
    measures: Measures | None
    unknown: Unknown | None = None
    in_training: bool = False  # logits moved in training mode only


@dataclass
class Trials:
    """Every config of a reference that was examined. `base` is the tiny config itself."""

    tiny: Tiny
    fields: dict[str, Any]
    structure: Structure
    snapshot: Snapshot
    base: Trial
    done: list[Trial] = field(default_factory=list)

    @property
    def examined(self) -> list[Trial]:
        """The trials whose measures are known, the base first."""
        return [self.base, *(trial for trial in self.done if trial.measures is not None)]

    def of(self, name: str) -> list[Trial]:
        """The trials in which only `name` was altered."""
        return [trial for trial in self.done if set(trial.changes) == {name}]

    def attempt(self, changes: Mapping[str, Any], *, examine: bool = True) -> Trial | None:
        """Alters `changes` and looks; None where no such config builds and runs, or where it takes other values."""
        try:
            config = self.tiny.config(**changes)
            values = _values(config, self.fields)
            if any(values.get(name) != value for name, value in changes.items() if value is not None):
                return None
        except Exception:
            return None
        try:
            model = self.tiny.build(**changes)
            snapshot = snapshot_of(model)
        except Exception:
            return self._attempt_in_float32(changes, values)
        moved = self.snapshot.change(snapshot)
        measures, unknown = None, None
        # A switch or a factor may do what a norm takes back, but for its epsilon.
        hidden = moved > 0.0 and all(isinstance(value, bool | float) for value in changes.values())
        if examine and (moved > ROUNDING or hidden):
            try:
                ids = token_ids(VOCAB, LENGTH)
                base = self.base.measures
                assert base is not None
                # Of layers with experts and others, the first is not all that there is to see.
                mixed = len(set(base.sparse)) > 1 or any(base.mixer) or False in base.indexed
                measures = measure(find_structure(model, ids, every_layer=mixed, like=self.structure))
                unlike = measures.sparse[0] != base.sparse[0]
                # Where layers hold unlike things, which one is unlike may go with their number.
                uneven = base.uneven and measures.num_layers != base.num_layers
                if unlike or uneven or not base.differing(measures):
                    measures = measure(find_structure(model, ids, like=self.structure))
            except UnresolvedError as error:
                unknown, measures = error.unknown, None
            except Exception as error:
                unknown, measures = broke_off(error), None
        if moved == 0.0 and None in changes.values():
            measures = self.base.measures  # None became what the field already was
        in_training = moved <= ROUNDING and self._moves_in_training(changes)
        trial = Trial(dict(changes), values, moved, measures, unknown, in_training)
        self.done.append(trial)
        return trial

    def _attempt_in_float32(self, changes: Mapping[str, Any], values: dict[str, Any]) -> Trial | None:
        """What moves in fp32, for a config that fp64 does not run in; it is not examined."""
        try:
            before, after = (snapshot_of(self.tiny.build(dtype="float32", **c)) for c in ({}, changes))
        except Exception:
            return None
        moved = before.change(after)
        measures = self.base.measures if moved <= FLOAT32 else None
        trial = Trial(dict(changes), values, moved, measures, Unknown("fp64", "it runs in fp32 only"))
        self.done.append(trial)
        return trial

    def _moves_in_training(self, changes: Mapping[str, Any]) -> bool:
        if not all(isinstance(value, float) for value in changes.values()):
            return False
        return _training_logits(self.tiny, {}) != _training_logits(self.tiny, changes)


def begin(tiny: Tiny) -> Trials:
    """The base of all trials. Raises UnresolvedError where the tiny config itself is not understood."""
    fields = own_fields(tiny.found)
    fields.pop("vocab_size", None)
    model = tiny.build()
    structure = find_structure(model, token_ids(VOCAB, LENGTH))
    base = Trial({}, _values(tiny.config(), fields), 0.0, measure(structure))
    return Trials(tiny, fields, structure, snapshot_of(model), base)


def seen_from_outside(trials: Trials, tiny: Tiny) -> Trials:
    """Trials of `tiny`, another form of the same reference, whose structure is not asked about: attempts that don't
    examine are all that they are good for."""
    return Trials(tiny, trials.fields, trials.structure, snapshot_of(tiny.build()), trials.base)


def alter_every_field(trials: Trials) -> None:
    """Alters one field after another, by several values until one moves something."""
    for name in trials.fields:
        for value in alternatives(name, trials.base.values[name], trials.fields[name]):
            trial = trials.attempt({name: value})
            settled = trial is not None and trial.moved > ROUNDING and (trial.measures is not None or _is_bool(value))
            if settled and not isinstance(value, Mapping) and not (is_int(value) and takes_away(trials, trial)):
                break
        # Heads that only two numbers divide.
        if is_int(trials.base.values[name]) and trials.base.values[name] > 1 and not trials.of(name):
            trials.attempt({name: 3 * trials.base.values[name]})
    _alter_pairs(trials)


def takes_away(trials: Trials, trial: Trial | None) -> bool:
    """Whether a mixture of experts, or a part of it, is gone: its size with another value is still to be seen."""
    base = trials.base.measures
    if trial is None or trial.measures is None or base is None:
        return False
    return any(getattr(base, name) is not None and getattr(trial.measures, name) is None for name in MIXTURE)


def _alter_pairs(trials: Trials) -> None:
    """What builds together only: a width and the width of a head, layers and what each one is, two switches."""
    alone = [
        name
        for name, value in trials.base.values.items()
        if isinstance(value, int) and not isinstance(value, bool) and value > 1
        if not any(trial.measures is not None or trial.moved <= ROUNDING for trial in trials.of(name))
    ]
    for name in alone:
        for other, value in trials.base.values.items():
            if isinstance(value, list) and value:
                twice = [[list(p), 2 * n] for p, n in value] if is_runs(value) else 2 * value
                trials.attempt({name: 2 * trials.base.values[name], other: twice})
    # Switches that the config class wants to agree.
    bound = [name for name, value in trials.base.values.items() if isinstance(value, bool) and not trials.of(name)]
    for pair in itertools.combinations(bound, 2):
        trials.attempt({name: not trials.base.values[name] for name in pair})
    for first, second in itertools.combinations(alone, 2):
        a, b = trials.base.values[first], trials.base.values[second]
        for values in ((2 * a, 2 * b), (2 * a, b // 2), (a // 2, 2 * b)):
            trials.attempt(dict(zip((first, second), values, strict=True)))


def alternatives(name: str, value: Any, default: Any) -> Iterator[Any]:
    """Other values for a field that holds `value`."""
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int):
        thirds = [value * 4 // 3] if value % 3 == 0 else []
        candidates = [*thirds, value + 1, 2 * value, value * 3 // 2, value // 2, value + 8, 1, 0]
        yield from (v for v in dict.fromkeys(candidates) if v != value and v >= 0)
    elif isinstance(value, float):
        yield from (v for v in (value * 1.5, 0.1, 0.5, 2.0) if v != value)
    elif isinstance(value, str):
        from levgen.survey.questions.functions import known_activations
        from levgen.survey.questions.learned_activation import FORMS

        # An activation is altered into one that is unlike it.
        named = value in known_activations() or value in FORMS
        yield from (v for v in ("relu", "silu", "gelu") if named and v != value)
        yield f"{value}_altered"
    elif isinstance(value, Mapping):
        yield from _altered_mappings(value)
    elif isinstance(value, list | tuple):
        yield from altered(list(value))
    else:
        yield from (88, 3.5, True, "relu")


def _altered_mappings(value: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """`value` with its numbers altered, also those of mappings in it."""
    altered = {
        key: next(_altered_mappings(item), item)
        if isinstance(item, Mapping)
        else item * 2.5
        if isinstance(item, float) and item > 1
        else item
        for key, item in value.items()
    }
    if altered != value:
        yield altered
    # Lengths that are longer than a probe, such as the one after which something else happens.
    shorter = {key: LENGTH // 4 if _is_length(item) else item for key, item in value.items()}
    if shorter != value:
        yield shorter


def _is_length(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > LENGTH


def _values(config: Any, fields: Mapping[str, Any]) -> dict[str, Any]:
    values = {}
    for name in fields:
        try:
            values[name] = value_at(config, name)
        except Exception:
            values[name] = None
    return values


def value_at(config: Any, path: str) -> Any:
    """A field of a config, of a config in it, or an entry of a mapping in one of them."""
    return functools.reduce(
        lambda held, name: held[name] if isinstance(held, Mapping) else getattr(held, name), path.split("."), config
    )


def snapshot_of(model: Any) -> Snapshot:
    """Shapes of parameters, and logits by each attention implementation."""
    import torch

    shapes = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    ids = token_ids(VOCAB, LENGTH)
    with torch.no_grad():
        logits = {"eager": model(ids).logits}
        with contextlib.suppress(Exception):
            model.set_attn_implementation("sdpa")
            logits["sdpa"] = model(ids).logits
        with contextlib.suppress(Exception):
            model.set_attn_implementation("eager")
    return Snapshot(shapes, logits)


def _training_logits(tiny: Tiny, changes: Mapping[str, Any]) -> float:
    """The sum of the logits in training mode, under one seed."""
    import torch

    with contextlib.suppress(Exception), torch.no_grad():
        model = tiny.build(**changes).train()
        torch.manual_seed(0)
        return float(model(token_ids(VOCAB, LENGTH)).logits.abs().sum())
    return 0.0


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool)
