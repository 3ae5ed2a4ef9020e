"""Where a layer says which keys each query sees: a module of it, or an argument that it is given."""

from typing import Any

from levgen.reference.record import Call
from levgen.survey.evidence import UnresolvedError
from levgen.survey.observe.shapes import LENGTH


def find_chooser(layer: Any, made: list[Call]) -> Call | None:
    """The module whose output is whole numbers, some positions for each; the outermost one."""
    holding = {name for name, child in layer.named_modules() if any(True for _ in child.parameters())}
    found = [c for c in made if c.name in holding and _are_positions(c.output)]
    return min(found, key=lambda c: len(c.name), default=None)


def given_choice(call: Call) -> tuple[int | str, Any] | None:
    """The argument of a layer that holds whole numbers, some positions for each, by its place or name."""
    given: list[tuple[int | str, Any]] = [*enumerate(call.args), *call.kwargs.items()]
    found = [(place, item) for place, item in given if hasattr(item, "is_floating_point") and _are_positions(item)]
    if len(found) > 1:
        observed = f"the layer is given {[place for place, _ in found]}, each with some positions for every one"
        raise UnresolvedError("which keys are chosen", observed, call.module)
    return next(iter(found), None)


def _are_positions(output: Any) -> bool:
    import torch

    if output is None or output.is_floating_point() or output.is_complex() or output.dim() < 2:
        return False
    if output.dtype == torch.bool:
        return False
    length = output.shape[-2]
    return bool(length == LENGTH and output.numel() and int(output.min()) >= 0 and int(output.max()) < length)


def all_keys(chosen: Any) -> Any:
    """All positions for each, in place of `chosen` [..., T, count]."""
    import torch

    length = chosen.shape[-2]
    return torch.arange(length, dtype=chosen.dtype).expand(*chosen.shape[:-1], length)
