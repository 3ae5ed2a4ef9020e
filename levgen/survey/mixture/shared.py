"""What does every token get beside the experts that it goes to? Nothing, an MLP, or one through a gate."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from levgen.survey.evidence import Evidence, UnresolvedError, choose, relative
from levgen.survey.mixture.bank import Bank
from levgen.survey.observe.shapes import LENGTH, random_like
from levgen.survey.questions.functions import known_activations

_ACCEPT = 1e-6
# Functions closer than this are one function under several names.
_SAME = 1e-9


@dataclass(frozen=True)
class Shared:
    """A gated MLP. Names are of its weights in the module. `through`: the weight of the gate that it passes.

    `activations`: names of one function.
    """

    gate: str
    up: str
    down: str
    through: str | None
    width: int
    activations: tuple[str, ...]

    def __str__(self) -> str:
        passed = f", times sigmoid(x @ {self.through})" if self.through else ""
        return f"{self.down}({self.activations[0]}({self.gate}) * {self.up}){passed}"

    @property
    def tensors(self) -> set[str]:
        return {name for name in (self.gate, self.up, self.down, self.through) if name is not None}

    def output(self, bank: Bank, x: Any) -> Any:
        """[T, N] for [T, N]."""
        gate, up, down = (bank.others[name].double() for name in (self.gate, self.up, self.down))
        out = (known_activations()[self.activations[0]](x @ gate.T) * (x @ up.T)) @ down.T
        return out if self.through is None else out * (x @ bank.others[self.through].double().T).sigmoid()


def find_shared(bank: Bank, activations: tuple[str, ...], known: set[str]) -> tuple[Shared | None, Evidence]:
    """What comes out with zeros for experts. `activations`: of the experts, or none. `known`: tensors of the router.

    Raises UnresolvedError where nothing known does.
    """
    question = "what every token gets"
    x = random_like(bank.call.input.reshape(LENGTH, -1).double(), seed=13)
    rest = bank.with_experts({}, x)
    free = {name: tuple(t.shape) for name, t in bank.others.items() if name not in known}
    if float(rest.abs().max()) == 0.0 and not free:
        return None, Evidence(question, "nothing beside its experts", 0.0, probe="zeros in the place of all experts")
    tried = [activations] if activations else _apart()
    shared = [one for names in tried for one in _candidates(free, x.shape[1], names)]
    if not shared:
        raise UnresolvedError(question, f"it is none of the known, from tensors {free}", bank.module)
    errors = {one: relative(one.output(bank, x), rest) for one in shared}
    found = choose(question, errors, "zeros in the place of all experts", module=bank.module, accept=_ACCEPT)
    next_best = None if found.runner_up is None else str(found.runner_up)
    return found.chosen, Evidence(
        question, str(found.chosen), found.error, next_best, found.runner_up_error, found.probe
    )


def _apart() -> list[tuple[str, ...]]:
    """The known activations, the names of one function together."""
    import torch

    grid = torch.linspace(-8.0, 8.0, 65, dtype=torch.float64)
    apart: dict[str, list[str]] = {}
    for name, f in known_activations().items():
        same = next((n for n in apart if relative(f(grid), known_activations()[n](grid)) < _SAME), name)
        apart.setdefault(same, []).append(name)
    return [tuple(names) for names in apart.values()]


def _candidates(free: dict[str, tuple[int, ...]], embed: int, activations: tuple[str, ...]) -> Iterator[Shared]:
    wide = [n for n, shape in free.items() if len(shape) == 2 and shape[1] == embed and shape[0] != 1]
    gates = [n for n, shape in free.items() if shape == (1, embed)]
    for gate, up in itertools.permutations(wide, 2):
        for down, shape in free.items():
            if free[gate] == free[up] and shape == (embed, free[gate][0]) and down not in (gate, up):
                yield from (Shared(gate, up, down, through, shape[1], activations) for through in (None, *gates))
