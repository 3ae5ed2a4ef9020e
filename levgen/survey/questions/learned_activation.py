"""Which activation is a module that has parameters of its own? It is called with other values in its tensors."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from levgen.survey.evidence import Evidence, UnresolvedError, choose, relative

_QUESTION = "activation with parameters"
_PROBE = "other values in each tensor, at grids over ±1, ±8 and ±300"
# Each is compared on a scale of its own: what differs at small inputs is nothing beside the square of a large one.
_GRIDS = ((-1.0, 1.0), (-8.0, 0.0), (0.0, 8.0), (-300.0, 0.0), (0.0, 300.0))
# For tensors of one number, in turn: of either sign, and so large that each one shows.
_VALUES = ((0.7, -0.4, 0.5, -0.3), (-0.4, 1.6, -0.8, -1.1), (2.5, 0.7, 1.7, -0.6))
# Formulas that differ in one tensor's place differ by far more.
_ACCEPT = 3e-7


@dataclass(frozen=True)
class Form:
    """A function of an input and of numbers: `trained` ones, then `stored` ones that are not, by the names in files."""

    function: Callable[..., Any]
    trained: tuple[str, ...]
    stored: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.trained, *self.stored)


@dataclass(frozen=True)
class Learned:
    """`name`: which form a module has. `function`: the form with the numbers that it holds."""

    name: str
    function: Callable[[Any], Any]
    evidence: Evidence


def _xielu(x: Any, alpha_p: Any, alpha_n: Any, beta: Any, eps: Any) -> Any:
    """https://arxiv.org/abs/2411.13010"""
    import torch
    from torch.nn.functional import softplus

    curved = (beta + softplus(alpha_n)) * (torch.expm1(torch.minimum(x, eps)) - x)
    return torch.where(x > 0, softplus(alpha_p) * x * x, curved) + beta * x


FORMS = {"xielu": Form(_xielu, ("alpha_p", "alpha_n"), ("beta", "eps"))}


def identify_learned(module: Any) -> Learned:
    """The form that `module`, which treats each number apart, has. Raises UnresolvedError where it is no known one.

    Its tensors' roles are tried in every order, and have to be those of their names: a card names modules only.
    """
    trained = dict(module.named_parameters())
    buffers = dict(module.named_buffers())
    stored = {name: buffers[name] for name in module.state_dict() if name in buffers}
    held = {name: list(tensor.shape) for name, tensor in (trained | stored).items()}
    errors: dict[tuple[str, tuple[str, ...]], float] = {}
    for name, form in FORMS.items():
        alike = len(form.trained) == len(trained) and len(form.stored) == len(stored)
        if alike and all(tensor.numel() == 1 for tensor in (trained | stored).values()):
            for order in itertools.product(itertools.permutations(trained), itertools.permutations(stored)):
                names = (*order[0], *order[1])
                errors[name, names] = _error(module, form, [(trained | stored)[n] for n in names])
    if not errors:
        raise UnresolvedError(_QUESTION, f"none known holds {held}", module)
    found = choose(_QUESTION, errors, _PROBE, module=module, accept=_ACCEPT)
    kind, names = found.chosen
    if names != FORMS[kind].names:
        raise UnresolvedError(
            "names of parameters", f"{', '.join(FORMS[kind].names)} are called {', '.join(names)}", module
        )
    numbers = [(trained | stored)[name].detach().reshape(()) for name in names]
    runner_up = None if found.runner_up is None else f"{found.runner_up[0]} of {', '.join(found.runner_up[1])}"
    said = Evidence(_QUESTION, kind, found.error, runner_up, found.runner_up_error, _PROBE)
    return Learned(kind, lambda x: FORMS[kind].function(x, *numbers), said)


def _error(module: Any, form: Form, tensors: list[Any]) -> float:
    """How far `module` is from `form` with `tensors` as its numbers, whatever values they have, and those they had."""
    import torch

    dtype = tensors[0].dtype
    grids = [torch.linspace(low, high, 1001, dtype=dtype)[None] for low, high in _GRIDS]
    worst = 0.0
    for values in (None, *_VALUES):
        with _holding(tensors, values), torch.no_grad():
            numbers = [tensor.reshape(()) for tensor in tensors]
            worst = max(worst, *(relative(form.function(grid, *numbers), module(grid)) for grid in grids))
    return worst


@contextmanager
def _holding(tensors: list[Any], values: tuple[float, ...] | None) -> Iterator[None]:
    """`tensors` with `values` in them, and with their own again afterwards."""
    import torch

    before = [tensor.detach().clone() for tensor in tensors]
    with torch.no_grad():
        for tensor, value in zip(tensors, values or (), strict=False):
            tensor.fill_(value)
        try:
            yield
        finally:
            for tensor, own in zip(tensors, before, strict=True):
                tensor.copy_(own)
