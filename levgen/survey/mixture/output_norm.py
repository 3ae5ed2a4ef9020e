"""Does a norm come after all that a mixture of experts gives? Then its output is the mixture's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from levgen.reference.record import Call
from levgen.survey.evidence import UnresolvedError
from levgen.survey.observe.leaves import NormLeaf, identify


@dataclass(frozen=True)
class OutputNorm:
    """`name`: below the mixture. `given`: what went into it in the call that was recorded."""

    name: str
    module: Any
    given: Any
    leaf: NormLeaf


def find_output_norm(whole: Call, calls: Mapping[str, Sequence[Call]]) -> OutputNorm | None:
    """The norm in the mixture of the call `whole` that gives what the mixture does; None where it has none.

    `calls`: of the modules in the layer, by name.
    """
    import torch

    for name, made in calls.items():
        if not name.startswith(f"{whole.name}.") or len(made) != 1 or made[0].input is None or made[0].output is None:
            continue
        (one,) = made
        same = one.input.shape == one.output.shape == whole.output.shape and torch.equal(one.output, whole.output)
        if not same or not any(True for _ in one.module.parameters()):
            continue
        try:
            leaf = identify(one.module, one.input)
        except UnresolvedError:  # the experts themselves, or what else comes last
            continue
        if isinstance(leaf, NormLeaf):
            return OutputNorm(name.removeprefix(f"{whole.name}."), one.module, one.input, leaf)
    return None
