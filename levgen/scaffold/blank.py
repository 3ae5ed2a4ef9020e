"""The architecture of a model that nobody has described: stubs, or the parts that a person chooses."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from levgen.architecture.attention import PositionKind
from levgen.architecture.card import parse_card
from levgen.architecture.schema import STUBS, Architecture
from levgen.scaffold.complete import complete
from levgen.scaffold.names import ModelName
from levgen.scaffold.parts import load_part

STUB = "stub"


def blank(name: ModelName) -> Architecture:
    """The guide's breakdown as stubs, with the hyperparameters and axes that a decoder has."""
    return complete(Architecture(title=name.camel, hyperparameters={}, stubs=STUBS))


@dataclass(frozen=True)
class Question:
    """One decision about a new model: the group of answers that it settles, and what may be chosen."""

    group: str
    text: str
    choices: dict[str, str]  # choice -> what it means; the first is the default


def part_questions() -> list[Question]:
    """The questions that decide what a new model is made of."""
    stub = {STUB: "a class for you to write"}
    return [
        Question("attention", "Which attention?", stub | _kinds("attention")),
        Question("mlp", "Which MLP?", stub | _kinds("mlp")),
        Question("norm", "Which norm?", _kinds("norm")),
        Question("positions", "Which positions?", {kind: f"positions.kind={kind}" for kind in get_args(PositionKind)}),
        Question("layer", "Which dataflow has a layer?", stub | _kinds("decoder_layer")),
    ]


def _kinds(part: str) -> dict[str, str]:
    return {
        kind: ", ".join(f"{answer}={value}" for answer, value in answers.items())
        for kind, answers in load_part(part).kinds.items()
    }


def with_parts(name: ModelName, chosen: Mapping[str, str]) -> Architecture:
    """The architecture of the parts that were `chosen` (group -> choice); what is left as a stub is one.

    The stack, the embeddings and the head follow from the layer: they are stubs only while it is one.
    """
    data: dict[str, Any] = {"title": name.camel, "hyperparameters": {}, "positions": {"kind": chosen["positions"]}}
    stubs = []
    for group, part in (("attention", "attention"), ("mlp", "mlp"), ("norm", "norm"), ("layer", "decoder_layer")):
        choice = chosen[group]
        if choice == STUB:
            stubs.append(part)
        else:
            data[group] = load_part(part).kinds[choice]
    if "decoder_layer" in stubs:
        stubs += ["transformer", "embeddings", "lm_head"]
    return complete(parse_card({**data, "stubs": stubs}, source="the architecture of the parts that you chose"))
