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


@dataclass(frozen=True)
class Shared:
    """A gated MLP. Names are of its weights in the module. `through`: the weight of the gate that it passes."""

    gate: str
    up: str
    down: str
    through: str | None
    width: int

    def __str__(self) -> str:
        passed = f", times sigmoid(x @ {self.through})" if self.through else ""
        return f"{self.down}(act({self.gate}) * {self.up}){passed}"

    @property
    def tensors(self) -> set[str]:
        return {name for name in (self.gate, self.up, self.down, self.through) if name is not None}

    def output(self, bank: Bank, x: Any, activation: str) -> Any:
        """[T, N] for [T, N]."""
        gate, up, down = (bank.others[name].double() for name in (self.gate, self.up, self.down))
        out = (known_activations()[activation](x @ gate.T) * (x @ up.T)) @ down.T
        return out if self.through is None else out * (x @ bank.others[self.through].double().T).sigmoid()


def find_shared(bank: Bank, activation: str, known: set[str]) -> tuple[Shared | None, Evidence]:
    """What comes out with zeros for experts. `known`: tensors of the router.

    Raises UnresolvedError where nothing known does.
    """
    question = "what every token gets"
    x = random_like(bank.call.input.reshape(LENGTH, -1).double(), seed=13)
    rest = bank.with_experts({}, x)
    free = {name: tuple(t.shape) for name, t in bank.others.items() if name not in known}
    if float(rest.abs().max()) == 0.0 and not free:
        return None, Evidence(question, "nothing beside its experts", 0.0, probe="zeros in the place of all experts")
    errors = {one: relative(one.output(bank, x, activation), rest) for one in _candidates(free, x.shape[1])}
    if not errors:
        raise UnresolvedError(question, f"it is none of the known, from tensors {free}", bank.module)
    found = choose(question, errors, "zeros in the place of all experts", module=bank.module, accept=_ACCEPT)
    shared: Shared = found.chosen
    next_best = None if found.runner_up is None else str(found.runner_up)
    return shared, Evidence(question, str(shared), found.error, next_best, found.runner_up_error, found.probe)


def _candidates(free: dict[str, tuple[int, ...]], embed: int) -> Iterator[Shared]:
    wide = [n for n, shape in free.items() if len(shape) == 2 and shape[1] == embed and shape[0] != 1]
    gates = [n for n, shape in free.items() if shape == (1, embed)]
    for gate, up in itertools.permutations(wide, 2):
        for down, shape in free.items():
            if free[gate] == free[up] and shape == (embed, free[gate][0]) and down not in (gate, up):
                yield from (Shared(gate, up, down, through, shape[1]) for through in (None, *gates))
