"""What is an expert? A gated MLP: where gate and up lie in its tensors, what joins them, and how much each weighs.

An expert's tensors are put in the place of each other expert's in turn, and zeros in all others: what comes out is what
that one expert makes of a token, times the weight that the router gives to the place.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from levgen.survey.evidence import Evidence, UnresolvedError, choose, relative
from levgen.survey.mixture.bank import Bank
from levgen.survey.mixture.gating import Clamped, find_clamped
from levgen.survey.mixture.inputs import fit_inputs
from levgen.survey.observe.shapes import LENGTH, random_like
from levgen.survey.questions.functions import known_activations

# Experts may be computed in fp32 in a model of fp64, as may their weights.
ACCEPT = 1e-6
# Of the rows of a probe, what tells experts apart where a weight must be looked for: some ordinary, some large.
_FEW = [0, 1, 2, -3, -2, -1]
Weighs = Literal["output", "input"]
Gated = Callable[[Any, Any], Any]  # of gate and up
# Functions closer than this are one function under several names.
_SAME = 1e-9


@dataclass(frozen=True)
class Expert:
    """One reading of an expert's tensors. `gate_up`: names of one tensor, or of gate and of up."""

    gate_up: tuple[str, ...]
    down: str
    biases: tuple[str, ...]  # in the order of the maps
    transposed: bool  # gate and up stored {in, out}
    down_transposed: bool
    interleaved: bool  # gate and up in turn
    gate_first: bool
    width: int

    def __str__(self) -> str:
        order = "in turn" if self.interleaved else "one after the other"
        first = "gate, up" if self.gate_first else "up, gate"
        joined = f"{first} {order}" if len(self.gate_up) == 1 else f"gate {self.gate_up[0]}, up {self.gate_up[1]}"
        lies = {(False, False): "", (True, True): ", stored {in, out}", (False, True): ", down stored {in, out}"}
        stored = lies.get((self.transposed, self.down_transposed), ", gate and up stored {in, out}")
        return joined + stored + (", with biases" if self.biases else "")

    def halves(self, bank: Bank, x: Any, index: int = 0) -> tuple[Any, Any]:
        """What goes into the activation, and what its result is multiplied by: [T, width] each, for [T, N]."""
        maps = [self._apply(bank, name, x, index) for name in self.gate_up]
        if self.biases:
            maps = [m + bank.tensors[b][index].double() for m, b in zip(maps, self.biases, strict=False)]
        if len(maps) == 1:
            (both,) = maps
            w = self.width
            maps = [both[:, 0::2], both[:, 1::2]] if self.interleaved else [both[:, :w], both[:, w:]]
        return (maps[0], maps[1]) if self.gate_first else (maps[1], maps[0])

    def back(self, bank: Bank, inner: Any, index: int = 0) -> Any:
        out = self._apply(bank, self.down, inner, index)
        return out + bank.tensors[self.biases[-1]][index].double() if self.biases else out

    def tensors(self, gate: Any, up: Any, down: Any) -> dict[str, Any]:
        """The maps `gate` and `up` [width, N] and `down` [N, width] as the tensors that are read so."""
        import torch

        maps = [gate, up] if self.gate_first else [up, gate]
        if len(self.gate_up) == 1:
            maps = [torch.stack(maps, dim=1).flatten(0, 1) if self.interleaved else torch.cat(maps)]
        named = {**dict(zip(self.gate_up, maps, strict=True)), self.down: down}
        return {name: map_.T if self.lies_transposed(name) else map_ for name, map_ in named.items()}

    def lies_transposed(self, name: str) -> bool:
        """Whether a tensor is stored {in, out}."""
        return self.down_transposed if name == self.down else self.transposed

    def _apply(self, bank: Bank, name: str, x: Any, index: int) -> Any:
        weight = bank.tensors[name][index].double()
        return x @ (weight if self.lies_transposed(name) else weight.T)


@dataclass(frozen=True)
class Experts:
    """What all experts are. `activations`: names of one function; none where gate and up are `clamped`.

    `weighs`: what a weight multiplies, the `output` of an expert or its `input`.
    """

    expert: Expert
    activations: tuple[str, ...]
    clamped: Clamped | None
    weighs: Weighs
    evidence: Evidence

    def gated(self, gate: Any, up: Any) -> Any:
        """What an expert makes of gate and up."""
        gated = self.clamped or _by_activation(known_activations()[self.activations[0]])
        return gated(gate, up)

    def weights(self, bank: Bank, x: Any) -> Any:
        """[n, experts]: how much each expert counts for the rows of `x` [n, N], as an experiment shows."""
        seen = _one_by_one(bank, x)
        if self.weighs == "input":
            return fit_inputs(seen, _weighing(bank, self.expert, self.gated, x))[0]
        made = self.expert.back(bank, self.gated(*self.expert.halves(bank, x)))
        return _fit(seen, made)[0]

    def output(self, bank: Bank, x: Any, weights: Any) -> Any:
        """The sum over all experts."""
        total = 0.0
        for index in range(bank.count):
            weight = weights[:, index : index + 1]
            given = weight * x if self.weighs == "input" else x
            made = self.expert.back(bank, self.gated(*self.expert.halves(bank, given, index)), index)
            total = total + (made * (weight != 0) if self.weighs == "input" else weight * made)
        return total


def find_experts(bank: Bank, weighs: Weighs = "output") -> Experts:
    """Raises UnresolvedError where an expert is none of the known gated MLPs, times a weight, or of a weighed token."""
    question = "what an expert computes"
    x = _probe(bank)
    if weighs == "input":
        x = x[_FEW]
    seen = _one_by_one(bank, x)
    readings = list(_readings(bank, x.shape[1]))
    if not readings:
        shapes = {name: list(own[0].shape) for name, own in bank.tensors.items()}
        raise UnresolvedError(question, f"tensors {shapes} of an expert are no gated MLP's", bank.module)
    activations = {name: _by_activation(f) for name, f in known_activations().items()}
    errors: dict[tuple[Expert, str | Clamped], float] = {}
    for reading in readings:
        gate, up = reading.halves(bank, x)
        clamped = find_clamped(bank, reading, x[:1])
        candidates: list[tuple[str | Clamped, Gated]] = [*activations.items()]
        candidates += [(clamped, clamped)] if clamped is not None else []
        for name, gated in candidates:
            if weighs == "input":
                errors[reading, name] = fit_inputs(seen, _weighing(bank, reading, gated, x))[1]
            else:
                errors[reading, name] = _fit(seen, reading.back(bank, gated(gate, up)))[1]
    reading, name = min(errors, key=lambda key: errors[key])
    gate, up = reading.halves(bank, x)
    same: tuple[str, ...] = ()
    if isinstance(name, str):
        made = activations[name](gate, up)
        same = tuple(n for n, gated in activations.items() if relative(gated(gate, up), made) < _SAME)
    distinct = {f"{r}; act {n}": e for (r, n), e in errors.items() if r != reading or n == name or n not in same}
    probe = f"one expert's tensors in the place of each of {bank.count}, zeros in the others"
    evidence = choose(question, distinct, probe, module=bank.module, accept=ACCEPT)
    return Experts(reading, same, None if isinstance(name, str) else name, weighs, evidence)


def _weighing(bank: Bank, expert: Expert, gated: Gated, x: Any) -> Callable[[Any, Any], Any]:
    """What `fit_inputs` asks: what an expert makes of some of the tokens `x` [T, N], each times a weight."""

    def make(tokens: Any, weights: Any) -> Any:
        return expert.back(bank, gated(*expert.halves(bank, weights[:, None] * x[tokens])))

    return make


def _by_activation(f: Callable[[Any], Any]) -> Gated:
    return lambda gate, up: f(gate) * up


def _one_by_one(bank: Bank, x: Any) -> Any:
    """[experts, n, N]: what the first expert adds to what comes out of `x`, in the place of each expert alone."""
    import torch

    rest = bank.with_experts({}, x)
    return torch.stack([bank.with_experts({index: 0}, x) - rest for index in range(bank.count)])


def _probe(bank: Bank) -> Any:
    """Rows of ordinary size, and some so large that a limit shows."""
    x = random_like(bank.call.input.reshape(LENGTH, -1).double(), seed=11)
    x[-8:] *= 6.0
    return x


def _fit(seen: Any, made: Any) -> tuple[Any, float]:
    """The weights [T, E] with which `made` [T, N] is nearest to `seen` [E, T, N], and the relative error."""
    weights = (seen * made).sum(-1) / made.pow(2).sum(-1)
    return weights.T, relative(weights[..., None] * made, seen)


def _readings(bank: Bank, embed: int) -> Iterator[Expert]:
    """How the tensors of an expert may be read as a gated MLP over `embed` channels."""
    matrices = {n: own[0].shape for n, own in bank.tensors.items() if own[0].dim() == 2}
    vectors = {n: own[0].shape[0] for n, own in bank.tensors.items() if own[0].dim() == 1}
    for transposed, back, down in itertools.product((False, True), (False, True), matrices):
        into = [n for n in matrices if n != down]
        out_width, width = matrices[down] if not back else matrices[down][::-1]
        if out_width != embed or len(into) not in (1, 2):
            continue
        wide = 2 * width if len(into) == 1 else width
        if any(tuple(matrices[n]) != ((embed, wide) if transposed else (wide, embed)) for n in into):
            continue
        for biases in _biases(vectors, [wide] * len(into) + [embed]):
            if len(into) == 2:
                for order in itertools.permutations(into):
                    yield Expert(tuple(order), down, biases, transposed, back, False, True, width)
                continue
            for interleaved, gate_first in itertools.product((False, True), (True, False)):
                yield Expert(tuple(into), down, biases, transposed, back, interleaved, gate_first, width)


def _biases(vectors: dict[str, int], sizes: list[int]) -> list[tuple[str, ...]]:
    """One bias for each map, in order; none where there are none."""
    if not vectors:
        return [()]
    if len(vectors) != len(sizes):
        return []
    return [p for p in itertools.permutations(vectors) if [vectors[n] for n in p] == sizes]
