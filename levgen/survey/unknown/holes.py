"""Which module is it that nothing explains? The smallest one without which the rest of the model is explained."""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from levgen.reference.randomize import token_ids
from levgen.reference.record import Call, record
from levgen.reference.sizing.values import VOCAB
from levgen.reference.tiny import Tiny
from levgen.survey.config.model_measures import measure
from levgen.survey.evidence import Evidence, Unknown, UnresolvedError, broke_off, source_of
from levgen.survey.observe.chain import Chain, find_chain
from levgen.survey.observe.leaves import is_elementwise
from levgen.survey.observe.shapes import LENGTH
from levgen.survey.structure import Structure, find_structure
from levgen.survey.unknown.plugs import Hole, Plugs, unplugged


def find_holes(tiny: Tiny) -> Plugs | None:
    """The holes with which the structure of `tiny` is found; None where plugging no one or two modules helps.

    Each carries what was observed while it alone was open.
    """
    model, ids = tiny.build(), token_ids(VOCAB, LENGTH)
    try:
        chain = find_chain(model, lambda: model(ids))
    except UnresolvedError:
        return None
    layer = chain.layers[0]
    whole = (Hole("decoder_layer", ""),)  # where nothing less will do
    for holes in itertools.chain(_in_some_layers(chain), _proposed(layer), (whole,)):
        plugs = Plugs(chain.name, holes)
        if _open_question(replace(tiny, plugs=plugs)) is None:
            layers = model.get_submodule(chain.name)
            found = []
            for hole in holes:
                held = next(layer for layer in layers.children() if hole.is_in(layer))
                found.append(_with_observation(tiny, plugs, hole, held))
            return Plugs(chain.name, tuple(found))
    return None


def _in_some_layers(chain: Chain) -> Iterator[tuple[Hole, ...]]:
    """What some layers hold and others don't: one of two things may stand in the place of the other."""
    children = [{name for name, _ in call.module.named_children()} for call in chain.layers]
    everywhere = set.intersection(*children)
    found = []
    for name in dict.fromkeys(name for call in chain.layers for name, _ in call.module.named_children()):
        if name in everywhere:
            continue
        layer = next(call for call in chain.layers if name in dict(call.module.named_children()))
        for one in _calls_of(layer, name):
            if any(True for _ in one.module.children()) and any(True for _ in one.module.parameters()):
                found.append(name)
    yield from ((Hole("mixer", name),) for name in found)
    # Both may be unknown; what is less of an attention comes first in a stack.
    yield from ((Hole("mixer", one), Hole("attention", other)) for one, other in itertools.combinations(found, 2))


def _calls_of(layer: Call, name: str) -> list[Call]:
    """The one call of a module of a layer, where it gives what it takes; else none."""
    module = layer.module
    calls = record(lambda: module(*layer.args, **layer.kwargs), {name: module.get_submodule(name)})
    shaped = [one for one in calls if one.input is not None and one.output is not None]
    return (
        shaped
        if len(calls) == 1 and [one.input.shape for one in shaped] == [one.output.shape for one in shaped]
        else []
    )


def _proposed(layer: Call) -> Iterator[tuple[Hole, ...]]:
    """Single holes, the one with the fewest parameters first, then pairs of an attention and another."""
    module = layer.module
    every = {name: child for name, child in module.named_modules() if name}
    calls = record(lambda: module(*layer.args, **layer.kwargs), every)
    names = [call.name for call in calls]
    once = [call for call in calls if names.count(call.name) == 1 and call.input is not None]
    found: list[tuple[int, Hole]] = []
    for call in once:
        if call.output is None or call.input.shape != call.output.shape:
            continue
        size = sum(parameter.numel() for parameter in call.module.parameters())
        if is_elementwise(call):
            found.append((size, Hole("activation", call.name)))
        elif size and any(True for _ in call.module.children()) and call.input.shape == layer.input.shape:
            found += [(size, Hole("mlp", call.name)), (size, Hole("attention", call.name))]
    # An activation without parameters is rarely unknown, and its own module is the smallest there is.
    ranked = [hole for _, hole in sorted(found, key=lambda entry: (entry[1].part != "activation", entry[0]))]
    yield from ((hole,) for hole in ranked)
    attentions = [hole for hole in ranked if hole.part == "attention"]
    for attention, other in itertools.product(attentions, ranked):
        if other.part != "attention" and not _nested(attention.below, other.below):
            yield attention, other


def _nested(one: str, other: str) -> bool:
    return f"{one}.".startswith(f"{other}.") or f"{other}.".startswith(f"{one}.")


def evidence_around(plugs: Plugs, structure: Structure) -> list[Evidence]:
    """The evidence in the structure of a plugged model, without what it says of plugs: that is true of no reference."""
    layer = next((layer for layer in structure.layers if not layer.mixer), structure.layers[0])
    inside = [name for name, _ in structure.model.named_modules() if plugs.owns(name)]
    below = {name.removeprefix(f"{plugs.stack}.").partition(".")[2] for name in inside}
    false = [entry for entry in layer.anatomy.evidence if entry.question.rpartition(" ")[2] in below]
    if plugs.of("decoder_layer") is not None:
        false += layer.evidence
    if plugs.of("attention") is not None:
        false += [*layer.roles.evidence, *layer.scores.evidence]
    of_block = () if layer.block is None else layer.block.evidence
    if plugs.of("mlp") is not None:
        false += of_block
    if plugs.of("activation") is not None:
        false += [entry for entry in of_block if entry.question == "activation"]
    # What a plug's last module gives is what the module itself gives, whatever it is.
    return [
        replace(entry, chosen=unplugged(entry.chosen), runner_up=unplugged(entry.runner_up))
        for entry in structure.evidence
        if entry not in false
    ]


def _open_question(tiny: Tiny) -> Unknown | None:
    """What the structure of a tiny reference leaves open; None where all of it is found, and its layers are alike."""
    try:
        structure = find_structure(tiny.build(), token_ids(VOCAB, LENGTH))
        measure(structure)
        of_mlp = isinstance(tiny.plugs, Plugs) and (tiny.plugs.of("mlp") or tiny.plugs.of("activation"))
        if of_mlp and any(layer.beside is not None for layer in structure.layers):
            raise UnresolvedError("what is beside experts", "no MLP: known as a stub is one that stands alone")
    except UnresolvedError as error:
        return error.unknown
    except Exception as error:
        return broke_off(error)
    return None


def _with_observation(tiny: Tiny, plugs: Plugs, hole: Hole, layer: Any) -> Hole:
    """`hole` with the question that is open while the other holes are plugged, and the module's place in the source."""
    others = tuple(other for other in plugs.holes if other is not hole)
    seen = _open_question(replace(tiny, plugs=replace(plugs, holes=others) if others else None))
    assert seen is not None, "a smaller set of holes was tried before"
    module = layer.get_submodule(hole.below) if hole.below else layer
    return replace(hole, unknown=replace(seen, where=source_of(module) or seen.where))
