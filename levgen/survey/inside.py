"""What can be said of a module that is unknown: which config fields act in it, what it holds, and over which axes."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from levgen.reference.randomize import token_ids
from levgen.reference.record import Call, record
from levgen.reference.tiny import VOCAB, is_int
from levgen.survey.evidence import Evidence, UnresolvedError
from levgen.survey.fields import FieldMap, as_rotary, rotation_refusal
from levgen.survey.initialization import near
from levgen.survey.leaves import Affine, identify
from levgen.survey.plugs import Hole, Plugs
from levgen.survey.settle import find_gates, idle, plain, reason
from levgen.survey.shapes import LENGTH
from levgen.survey.trials import FLOAT32, ROUNDING, Trial, Trials, seen_from_outside

QUESTION = "what is inside an unknown module"
_STD, _USUAL_STD = "initializer_range", 0.02


@dataclass
class Inside:
    """`hyperparameters`: those that act in unknown modules alone, as a card writes them. `parts`: the modules."""

    hyperparameters: dict[str, dict[str, Any]] = field(default_factory=dict)
    parts: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Sample:
    """One config: the values of its fields, and the shapes of the tensors of the hole in a layer."""

    values: Mapping[str, Any]
    shapes: dict[str, tuple[int, ...]]


def fields_inside(trials: Trials, found: FieldMap) -> dict[str, dict[str, Any]]:
    """The fields that do nothing in the plugged model, and something in the reference as it is: hyperparameters.

    What can't be one is fixed. Raises UnresolvedError for a field of a kind that no stub could read.
    """
    real = seen_from_outside(trials, replace(trials.tiny, plugs=None))
    made: dict[str, dict[str, Any]] = {}
    still: dict[str, list[Trial]] = {}
    for hf in list(found.ignored):
        own = trials.of(hf)
        if not own or not all(idle(trials, trial) for trial in own):
            continue
        # Where something only rounds in the plugged model, it may in the other.
        limit = ROUNDING if all(trial.moved <= ROUNDING for trial in own) else FLOAT32
        seen = [trial for trial in (real.attempt(t.changes, examine=False) for t in own) if trial is not None]
        if seen and all(trial.moved <= limit for trial in seen):
            still[hf] = seen
            found.ignored[hf] = reason(real, hf, seen)
            continue
        parameter = _hyperparameter(trials, hf) if seen else None
        del found.ignored[hf]
        if parameter is not None:
            made[hf] = parameter
            found.evidence.append(Evidence(f"field {hf}", "acts in what is unknown alone", probe=_altered(seen)))
        else:
            _fix_inside(trials, found, hf, seen)
    find_gates(real, found, still)
    return made


def _altered(seen: list[Trial]) -> str:
    return "; ".join(f"{plain(trial.changes)}: logits move by {trial.moved:.1e}" for trial in seen[:2])


def _hyperparameter(trials: Trials, hf: str) -> dict[str, Any] | None:
    """A field as a hyperparameter of a card; None for one that decides what the module is, rather than how large."""
    value, default = trials.base.values[hf], trials.fields[hf]
    if not hf.isidentifier() or hf != hf.lower() or hf.startswith("_"):
        return None
    if isinstance(default, Mapping) and default and rotation_refusal(default) is None and "rope_theta" in default:
        rotation = as_rotary(default, 2048)
        return {"default": rotation, "hf": hf, "tiny": {**rotation, "theta": 500.0}}
    if isinstance(value, bool | str | Mapping | list | tuple) or value is None:
        return None
    if default is None:
        return {"default": None, "hf": hf, "optional": True, "tiny": value}
    return {"default": default, "hf": hf, "tiny": value}


def _fix_inside(trials: Trials, found: FieldMap, hf: str, seen: list[Trial]) -> None:
    value, default = trials.base.values[hf], trials.fields[hf]
    where = type(trials.tiny.found.config()).__name__
    if isinstance(value, list | tuple) or value != default:
        raise UnresolvedError(
            QUESTION, f"field {hf} of {where} acts in it by {plain(value)}, which a stub would not be told"
        )
    found.fixed[hf] = default
    found.evidence.append(Evidence(f"field {hf}", f"fixed to {plain(default)}", probe=_altered(seen)))


# Weights --------------------------------------------------------------------------------------------------------------


def weights_inside(trials: Trials, found: FieldMap, hole: Hole, plugs: Plugs, inside: Inside) -> None:
    """Notes in `inside` what `hole` holds. Raises UnresolvedError where layers hold unlike tensors, or where a size
    follows no field."""
    real = replace(trials.tiny, plugs=None)
    model = real.build()
    samples = list(_samples(trials, found, hole, plugs))
    variables = found.sizes | {hf: hf for hf in inside.hyperparameters}
    numbers = {ours: hf for ours, hf in variables.items() if all(is_int(sample.values.get(hf)) for sample in samples)}
    stored = _stored_names(real.build(random=False), hole, plugs)
    linear, gives = _linear_maps(model, hole, plugs)
    names = _AxisNames(hole)
    fresh = _tensors(real.build(random=False), hole, plugs, 0)
    trained = {name for name, _ in model.get_submodule(hole.path(plugs.stack, 0)).named_parameters()}
    weights = []
    for name in dict.fromkeys(itertools.chain.from_iterable(sample.shapes for sample in samples)):
        when = _presence(found, samples, name)
        having = [sample for sample in samples if name in sample.shapes]
        if len({len(sample.shapes[name]) for sample in having}) > 1:
            raise UnresolvedError(QUESTION, f"{name} has unlike numbers of dimensions")
        module, _, kind = name.rpartition(".")
        if when is not None and not (module in linear and kind == "bias"):
            raise UnresolvedError(QUESTION, f"{name} is there only where {when} says so")
        dims = range(len(having[0].shapes[name]))
        if module in linear and kind == "weight" and linear[module]:
            dims_named = ["out", "in"]
        else:
            dims_named = ["in", "out"] if module in linear and kind == "weight" else [str(dim) for dim in dims]
            dims_named = [""] if dims_named == ["0"] else dims_named
        sizes = [_size(having, name, dim, numbers) for dim in dims]
        if module in linear and kind == "bias":
            axes: list[str] = []  # its axis is that of the map's output
        else:
            stream = "out" if module in gives else "in"
            axes = names.of(name, sizes, dims_named, stream)
        weights.append(
            {
                "name": stored[name],
                "axes": axes,
                **_freshness(trials, found, fresh.get(name)),
                **({"when": when} if when is not None else {}),
                **({} if name in trained else {"trained": False}),
            }
        )
    unknown = hole.unknown
    inside.parts[hole.part] = {
        "observed": plain(f"{unknown.question}: {unknown.observed}", 400),
        "where": plain(unknown.where, 200),
        "weights": weights,
        "linear": {stored[f"{name}.weight"].removesuffix(".weight"): first for name, first in linear.items()},
        "axes": names.own,
        "reads": list(inside.hyperparameters),
    }


def _tensors(model: Any, hole: Hole, plugs: Plugs, layer: int) -> dict[str, Any]:
    """What the checkpoint of the hole's module in one layer holds, by names below it."""
    return dict(model.get_submodule(hole.path(plugs.stack, layer)).state_dict())


def _samples(trials: Trials, found: FieldMap, hole: Hole, plugs: Plugs) -> Iterator[_Sample]:
    """The tiny config, those in which a number or a switch was altered, and the one at full size."""
    import torch

    real = replace(trials.tiny, plugs=None)
    switches = set(found.switches.values())
    for trial in (trials.base, *trials.done):
        if any(not is_int(value) and hf not in switches for hf, value in trial.changes.items()):
            continue
        try:
            model = real.build(random=False, **trial.changes)
        except Exception:  # the plug took what the module itself doesn't
            continue
        yield _Sample(trial.values, _shapes(model, hole, plugs))
    try:
        config = real.found.config()
        with torch.device("meta"):
            whole = real.found.model_class(config)
        yield _Sample({hf: getattr(config, hf, None) for hf in trials.fields}, _shapes(whole, hole, plugs))
    except UnresolvedError:
        raise
    except Exception:
        return  # there is no such config without sizes of its own


def _shapes(model: Any, hole: Hole, plugs: Plugs) -> dict[str, tuple[int, ...]]:
    layers = [name for name, _ in model.get_submodule(plugs.stack).named_children()]
    found = [{name: tuple(t.shape) for name, t in _tensors(model, hole, plugs, int(layer)).items()} for layer in layers]
    for index, shapes in enumerate(found):
        if shapes != found[0]:
            differing = sorted(dict(shapes.items() ^ found[0].items()))
            raise UnresolvedError(QUESTION, f"layers 0 and {index} hold unlike tensors: {differing[:4]}", model)
    return found[0]


def _stored_names(model: Any, hole: Hole, plugs: Plugs) -> dict[str, str]:
    """Name below the module -> name below it in a checkpoint."""
    from levgen.runtime.hf_torch import checkpoint_names

    held = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    saved = {tensor.data_ptr(): name for name, tensor in checkpoint_names(model, held).items()}
    path = hole.path(plugs.stack, 0)
    made = {}
    for name in _tensors(model, hole, plugs, 0):
        full = saved.get(held[f"{path}.{name}"].data_ptr(), "")
        if not full.endswith(f"{hole.below}.{name}".lstrip(".")):
            raise UnresolvedError("names in a checkpoint", f"{path}.{name} is stored as {full or 'other tensors'}")
        made[name] = name
    return made


def _linear_maps(model: Any, hole: Hole, plugs: Plugs) -> tuple[dict[str, bool], set[str]]:
    """Modules in the hole that are linear maps, whether their weights lie {out, in}; and those that give its output."""
    import torch

    module = model.get_submodule(hole.path(plugs.stack, 0))
    inner = {name: child for name, child in module.named_modules() if name and any(True for _ in child.parameters())}
    calls = record(lambda: model(token_ids(VOCAB, LENGTH)), {"": module, **inner})
    whole = next(call for call in calls if call.name == "")
    linear: dict[str, bool] = {}
    gives = set()
    for call in calls:
        leaf = _affine(call) if call.name else None
        if leaf is not None and (leaf.weight, leaf.bias) in {("weight", None), ("weight", "bias")}:
            linear[call.name] = not leaf.transposed
            if call.output.shape == whole.output.shape and torch.equal(call.output, whole.output):
                gives.add(call.name)
    return linear, gives


def _affine(call: Call) -> Affine | None:
    if any(True for _ in call.module.children()) or call.input is None:
        return None
    try:
        leaf = identify(call.module, call.input)
    except UnresolvedError:
        return None
    return leaf if isinstance(leaf, Affine) else None


def _presence(found: FieldMap, samples: list[_Sample], name: str) -> str | None:
    """The switch that decides whether there is a tensor `name`; None where it is always there."""
    if all(name in sample.shapes for sample in samples):
        return None
    for hf in found.switches.values():
        if all(bool(sample.values.get(hf)) == (name in sample.shapes) for sample in samples):
            return hf
    raise UnresolvedError(QUESTION, f"{name} is there in some configs only, and no field says in which")


def _size(samples: list[_Sample], name: str, dim: int, numbers: Mapping[str, str]) -> str:
    """A size as an expression over hyperparameters that holds in every config. Raises UnresolvedError for none."""
    sizes = [sample.shapes[name][dim] for sample in samples]
    values = [{ours: sample.values[hf] for ours, hf in numbers.items()} for sample in samples]
    for text, names in _expressions(list(numbers)):
        if all(_value(text, {n: row[n] for n in names}) == size for row, size in zip(values, sizes, strict=True)):
            return text
    if len(set(sizes)) == 1:
        return str(sizes[0])
    raise UnresolvedError(QUESTION, f"dimension {dim} of {name} follows no field: {sizes[:6]}")


def _expressions(names: list[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Sizes that modules have, the simplest first, with the names in them."""
    forms = {
        1: ("{0}", "2 * {0}", "3 * {0}", "4 * {0}"),
        2: ("{0} * {1}", "{0} // {1}", "2 * {0} * {1}", "3 * {0} * {1}", "{0} + {1}", "{0} * ({1} // {0})"),
        3: ("{0} * ({1} // {2})", "({0} + 2 * {1}) * {2}", "({0} + 2 * {1}) * ({2} // {0})"),
    }
    for count, texts in forms.items():
        for chosen, text in itertools.product(itertools.permutations(names, count), texts):
            yield text.format(*chosen), chosen


def _value(text: str, values: Mapping[str, int]) -> int | None:
    try:
        return int(eval(text, {"__builtins__": {}}, dict(values)))  # an expression of ours over whole numbers
    except ZeroDivisionError:
        return None


def _freshness(trials: Trials, found: FieldMap, tensor: Any) -> dict[str, Any]:
    """How a fresh tensor is drawn: a constant, or a deviation."""
    if tensor is None:  # of a bias that a switch adds
        return {"constant": True}
    values = tensor.detach().double()
    first = float(values.reshape(-1)[0]) if values.numel() else 0.0
    if bool((values == first).all()):
        return {"constant": True, **({"fresh": float(f"{first:.9g}")} if first else {})}
    std = float(values.std())
    usual = _USUAL_STD if found.initializer is None else trials.base.values[found.initializer]
    measures = trials.base.measures
    assert measures is not None
    if near(std, usual):
        return {"fresh": _STD}
    if near(std, usual * (2 * measures.num_layers) ** -0.5):
        return {"fresh": "residual"}
    return {"fresh": float(f"{std:.3g}")}


class _AxisNames:
    """Names for axes: one a size, unless a tensor has a size twice. `own`: those that nothing else in the model has."""

    def __init__(self, hole: Hole) -> None:
        self.own: dict[str, str] = {}
        self._known = {"hidden_dim": "embed"} | ({} if hole.part == "mlp" else {"intermediate_dim": "mlp"})

    def of(self, weight: str, sizes: list[str], places: list[str], stream: str) -> list[str]:
        """The axes of `weight`. `places`: what its dimensions are called; `stream`: the one that is the model's width
        where several could be."""
        made: dict[str, str] = {}
        for place, size in sorted(zip(places, sizes, strict=True), key=lambda pair: pair[0] != stream):
            name = self._known.get(size) or self._new(weight, size, place)
            made[place] = self._another(weight, size, place) if name in made.values() else name
        return [made[place] for place in places]

    def _new(self, weight: str, size: str, place: str) -> str:
        name = size if size.isidentifier() else f"fixed_{size}" if size.isdigit() else _snake(weight, place)
        self._known[size] = name
        self.own[name] = size
        return name

    def _another(self, weight: str, size: str, place: str) -> str:
        name = _snake(weight, place)
        self.own[name] = size
        return name


def _snake(weight: str, place: str) -> str:
    return "_".join(part for part in (weight.removesuffix(".weight"), place) if part).replace(".", "_").lower()
