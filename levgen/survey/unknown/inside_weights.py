"""What does an unknown module hold? Its tensors, their names in checkpoints, its linear maps, how each is drawn."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from levgen.reference.randomize import token_ids
from levgen.reference.record import Call, record
from levgen.reference.sizing.values import VOCAB, is_int
from levgen.survey.config.card_text import card_text
from levgen.survey.config.field_map import FieldMap
from levgen.survey.config.trials import Trials
from levgen.survey.evidence import UnresolvedError
from levgen.survey.observe.leaves import Affine, identify
from levgen.survey.observe.shapes import LENGTH
from levgen.survey.questions.initialization import near
from levgen.survey.unknown.inside import QUESTION, Inside, bound_fields
from levgen.survey.unknown.inside_axes import AxisNames, Sample, size_of
from levgen.survey.unknown.plugs import Hole, Plugs

_STD, _USUAL_STD = "initializer_range", 0.02
# A mean of so many standard errors is 0.
_CENTRED = 5.0


def weights_inside(trials: Trials, found: FieldMap, hole: Hole, plugs: Plugs, inside: Inside) -> None:
    """Notes in `inside` what `hole` holds. Raises UnresolvedError where layers hold unlike tensors, or where a size
    follows no field."""
    real = replace(trials.tiny, plugs=None)
    model = real.build()
    inner = [str(parameter["hf"]) for parameter in inside.hyperparameters.values()]
    samples = list(_samples(trials, found, hole, plugs, [hf for hf in inner if is_int(trials.base.values[hf])]))
    variables = found.sizes | {ours: parameter["hf"] for ours, parameter in inside.hyperparameters.items()}
    numbers = {ours: hf for ours, hf in variables.items() if all(is_int(sample.values.get(hf)) for sample in samples)}
    alone = set(bound_fields(trials))
    bound = {ours for ours, hf in numbers.items() if hf in alone}
    stored = _stored_names(real.build(random=False), hole, plugs)
    first = plugs.layers(model, hole)[0]
    fresh = _tensors(real.build(random=False), hole, plugs, first)
    linear, gives = _linear_maps(model, hole, plugs)
    linear = {name: out_first for name, out_first in linear.items() if _is_drawn_as_usual(fresh, name)}
    names = AxisNames(hole)
    trained = {name for name, _ in model.get_submodule(hole.path(plugs.stack, first)).named_parameters()}
    weights = []
    for name in dict.fromkeys(itertools.chain.from_iterable(sample.shapes for sample in samples)):
        when = _presence(found, samples, name)
        module, _, kind = name.rpartition(".")
        is_bias = module in linear and kind == "bias"
        if when is not None and not is_bias:
            raise UnresolvedError(QUESTION, f"{name} is there only where {when} says so")
        having = [sample for sample in samples if name in sample.shapes]
        if len({len(sample.shapes[name]) for sample in having}) > 1:
            raise UnresolvedError(QUESTION, f"{name} has unlike numbers of dimensions")
        places = _places(len(having[0].shapes[name]), linear.get(module) if kind == "weight" else None)
        sizes = [size_of(having, name, dim, numbers, bound) for dim in range(len(places))]
        weights.append(
            {
                "name": stored[name],
                # The axis of a bias is that of the map's output.
                "axes": [] if is_bias else names.of(name, sizes, places, "out" if module in gives else "in"),
                **_freshness(trials, found, fresh.get(name)),
                **({"when": when} if when is not None else {}),
                **({} if name in trained else {"trained": False}),
            }
        )
    unknown = hole.unknown
    inside.parts[hole.part] = {
        "observed": card_text(f"{unknown.question}: {unknown.observed}", 400),
        "where": card_text(unknown.where, 200),
        "weights": weights,
        "linear": {stored[f"{name}.weight"].removesuffix(".weight"): first for name, first in linear.items()},
        "axes": names.own,
        "reads": list(inside.hyperparameters),
    }


def _places(dims: int, out_first: bool | None) -> list[str]:
    """What the dimensions of a tensor are called. `out_first`: of a linear map's weight; None for any other."""
    if out_first is not None:
        return ["out", "in"] if out_first else ["in", "out"]
    return [""] if dims == 1 else [str(dim) for dim in range(dims)]


def _is_drawn_as_usual(fresh: dict[str, Any], module: str) -> bool:
    """Whether a fresh linear map has a random weight, or zeros, and a bias of zeros: what `Linear` makes."""
    weight, bias = fresh[f"{module}.weight"], fresh.get(f"{module}.bias")
    first = weight.reshape(-1)[0]
    same = bool((weight == first).all()) and float(first) != 0.0
    return not same and (float(first) == 0.0 or _is_centred(weight)) and (bias is None or not bool(bias.any()))


def _tensors(model: Any, hole: Hole, plugs: Plugs, layer: int) -> dict[str, Any]:
    """What the checkpoint of the hole's module in one layer holds, by names below it."""
    return dict(model.get_submodule(hole.path(plugs.stack, layer)).state_dict())


def _samples(trials: Trials, found: FieldMap, hole: Hole, plugs: Plugs, numbers: list[str]) -> Iterator[Sample]:
    """The tiny config, those in which a number or a switch was altered, and the one at full size.

    `numbers`: fields that act in unknown modules alone. They are altered two at a time too: sums of their products can
    be equal in all others.
    """
    real = replace(trials.tiny, plugs=None)
    switches = set(found.switches.values())
    for trial in (trials.base, *trials.done):
        if any(not is_int(value) and hf not in switches for hf, value in trial.changes.items()):
            continue
        if set(trial.changes) & set(found.fixed):  # a port refuses it
            continue
        try:
            model = real.build(random=False, **trial.changes)
        except Exception:  # the plug took what the module itself doesn't
            continue
        yield from _sampled(trial.values, model, hole, plugs)
    others = {hf: trial.changes[hf] for hf in numbers for trial in reversed(trials.of(hf))}
    pairs = [dict(pair) for pair in itertools.combinations(others.items(), 2)]
    configs: list[Callable[[], Any]] = [*(partial(real.config, **pair) for pair in pairs), real.found.config]
    for config in configs:
        yield from _bare(trials, config, hole, plugs)


def _bare(trials: Trials, config: Callable[[], Any], hole: Hole, plugs: Plugs) -> Iterator[Sample]:
    """A config's shapes alone; nothing where there is no such config, or none without sizes of its own."""
    import torch

    try:
        made = config()
        with torch.device("meta"):
            whole = trials.tiny.found.model_class(made)
        yield from _sampled({hf: getattr(made, hf, None) for hf in trials.fields}, whole, hole, plugs)
    except UnresolvedError:
        raise
    except Exception:
        return


def _sampled(values: Mapping[str, Any], model: Any, hole: Hole, plugs: Plugs) -> Iterator[Sample]:
    """One config, or nothing where none of its layers has the hole."""
    layers = plugs.layers(model, hole)
    found = [{name: tuple(t.shape) for name, t in _tensors(model, hole, plugs, layer).items()} for layer in layers]
    for number, shapes in zip(layers, found, strict=True):
        if shapes != found[0]:
            differing = sorted(dict(shapes.items() ^ found[0].items()))
            said = f"layers {layers[0]} and {number} hold unlike tensors: {differing[:4]}"
            raise UnresolvedError(QUESTION, said, model)
    if found:
        yield Sample(values, found[0])


def _stored_names(model: Any, hole: Hole, plugs: Plugs) -> dict[str, str]:
    """Name below the module -> name below it in a checkpoint."""
    from levgen.runtime.checkpoints.from_torch import checkpoint_names

    held = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    saved = {tensor.data_ptr(): name for name, tensor in checkpoint_names(model, held).items()}
    first = plugs.layers(model, hole)[0]
    path = hole.path(plugs.stack, first)
    made = {}
    for name in _tensors(model, hole, plugs, first):
        full = saved.get(held[f"{path}.{name}"].data_ptr(), "")
        if not full.endswith(f"{hole.below}.{name}".lstrip(".")):
            raise UnresolvedError("names in a checkpoint", f"{path}.{name} is stored as {full or 'other tensors'}")
        made[name] = name
    return made


def _linear_maps(model: Any, hole: Hole, plugs: Plugs) -> tuple[dict[str, bool], set[str]]:
    """Modules in the hole that are linear maps, whether their weights lie {out, in}; and those that give its output."""
    import torch

    module = model.get_submodule(hole.path(plugs.stack, plugs.layers(model, hole)[0]))
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


def _presence(found: FieldMap, samples: list[Sample], name: str) -> str | None:
    """The switch that decides whether there is a tensor `name`; None where it is always there."""
    if all(name in sample.shapes for sample in samples):
        return None
    for hf in found.switches.values():
        if all(bool(sample.values.get(hf)) == (name in sample.shapes) for sample in samples):
            return hf
    raise UnresolvedError(QUESTION, f"{name} is there in some configs only, and no field says in which")


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
    mean = {} if _is_centred(values) else {"mean": float(f"{float(values.mean()):.3g}")}
    if near(std, usual):
        return {"fresh": _STD, **mean}
    if near(std, usual * (2 * measures.num_layers) ** -0.5):
        return {"fresh": "residual", **mean}
    inputs = values[0].numel() if values.dim() > 1 else 0
    if inputs and not mean and near(std, (3 * inputs) ** -0.5):
        return {"fresh": "inputs"}
    return {"fresh": float(f"{std:.3g}"), **mean}


def _is_centred(values: Any) -> bool:
    """Whether the mean of what was drawn is 0 as far as so many values tell."""
    error = float(values.std()) / values.numel() ** 0.5
    mean = abs(float(values.mean()))
    return bool(mean <= _CENTRED * error)
