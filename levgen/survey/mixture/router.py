"""How does a router choose, and what does each choice weigh? From weights of experts, as an experiment gave them."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from levgen.survey.evidence import Evidence, UnresolvedError, choose, relative
from levgen.survey.mixture.bank import Bank
from levgen.survey.mixture.experts import Experts
from levgen.survey.mixture.mixer import find_jitter, mixed_weights, near_rows
from levgen.survey.mixture.norm_order import find_order
from levgen.survey.observe.shapes import LENGTH

# Routers are often computed in fp32.
_ACCEPT = 2e-6
# Where experts are nearer to each other than this part of their scores, rounding may decide.
_TIE = 1e-5
_LEVELS = ((1.0, 0.9, -5.0), (4.0, 1.5, -6.0), (0.1, 0.0, -8.0))  # logits of the best, of others and of the worst
_MIXED = 2  # experts that are chosen one after the other
ABSENT = 1e-12  # of the largest: an expert whose weight is less was not chosen
# Answer -> what experts of groups that aren't kept are compared as.
OTHER_GROUPS = {"never": float("-inf"), "zero": 0.0}


@dataclass(frozen=True)
class Router:
    """An equation of a router. Names are of tensors in the module. `scale`: what the weights are multiplied by."""

    weight: str
    bias: str | None
    correction: str | None
    scores: str
    chosen: int
    groups: tuple[int, int] = (1, 1)  # so many, and so many of them are kept
    normalized: bool = False
    scale: float = 1.0
    jitter: float | None = None  # how near to a choice others must be to share its weight
    correction_of: str = "scores"  # or logits
    order: float = 1.0  # of the norm that weights are divided by: 1 for their sum
    other_groups: str | None = None  # what experts of groups that aren't kept count as; None before that is asked

    def logits(self, bank: Bank, x: Any) -> Any:
        """[T, experts] for [T, N]."""
        logits = x @ bank.others[self.weight].double().T
        return logits if self.bias is None else logits + bank.others[self.bias].double().reshape(-1)

    def weights(self, bank: Bank, x: Any) -> tuple[Any, Any]:
        """(weights [T, experts] without the scale, [T] whether no choice was near) for [T, N]."""
        import torch

        logits = self.logits(bank, x)
        if self.jitter is not None:
            return mixed_weights(logits, self.chosen, self.jitter)
        scores = self._scores(logits)
        compared, _, certain = self.compared(bank, x)
        certain &= clear(compared, self.chosen)
        if self.other_groups is None and self.groups[0] > 1:  # where one that is chosen is below 0, that decides
            certain &= compared.topk(self.chosen, dim=-1)[0].amin(-1) > 0
        mask = torch.zeros_like(scores).scatter(1, compared.topk(self.chosen, dim=-1)[1], 1.0)
        weights = scores * mask
        if self.normalized:
            weights = weights / weights.norm(p=self.order, dim=-1, keepdim=True)
        return weights, certain

    def _scores(self, logits: Any) -> Any:
        return logits.sigmoid() if self.scores == "sigmoid" else logits.softmax(-1)

    def compared(self, bank: Bank, x: Any) -> tuple[Any, Any, Any]:
        """(what experts are chosen by, whether their group is kept, both [T, experts]; [T] whether no group was near)
        for [T, N]."""
        import torch

        logits = self.logits(bank, x)
        compared = self._scores(logits) if self.correction_of == "scores" else logits
        if self.correction is not None:
            compared = compared + bank.others[self.correction].double().reshape(-1)
        groups, count = self.groups
        if groups == 1:
            return compared, torch.ones_like(compared, dtype=torch.bool), torch.ones(len(x), dtype=torch.bool)
        grouped = compared.reshape(len(x), groups, -1)
        quality = grouped.topk(min(2, grouped.shape[-1]), dim=-1)[0].sum(-1)
        kept = torch.zeros_like(quality, dtype=torch.bool).scatter(1, quality.topk(count, dim=-1)[1], True)
        kept = kept[..., None].expand_as(grouped).reshape(compared.shape)
        return torch.where(kept, compared, OTHER_GROUPS[self.other_groups or "never"]), kept, clear(quality, count)

    def __str__(self) -> str:
        chosen = f"{self.chosen} best"
        if self.groups[0] > 1:
            chosen += f" in the {self.groups[1]} best of {self.groups[0]} groups"
        parts = [f"{self.scores}(x @ {self.weight}{f' + {self.bias}' if self.bias else ''})", chosen]
        parts += [f"chosen by {self.correction_of} + {self.correction}"] if self.correction else []
        over = "sum" if self.order == 1 else f"norm of order {self.order:g}"
        parts += [f"over their {over}"] if self.normalized else []
        parts += [f"one after the other, shared within {self.jitter:g}"] if self.jitter is not None else []
        return ", ".join(parts) + (f", times {self.scale:g}" if self.scale != 1 else "")


def clear(scores: Any, count: int) -> Any:
    """[T]: whether the `count` best of [T, n] are clearly better than the rest."""
    import torch

    if count >= scores.shape[-1]:
        return torch.ones(len(scores), dtype=torch.bool)
    best = scores.topk(count + 1, dim=-1)[0]
    return (best[:, -2] - best[:, -1]) > _TIE * best[:, -2].abs()


def find_router(bank: Bank, experts: Experts) -> tuple[Router, Evidence]:
    """The equation that gives the weights of experts. Raises UnresolvedError where none does.

    Softmax over the experts that were chosen is the same function as softmax over all, divided by the sum.
    """
    import torch

    question = "how a router weighs experts"
    x, designed = _random(bank), _designed(bank)
    weights = experts.weights(bank, x)
    present = weights.abs() > ABSENT * weights.abs().max()
    # Of a large input the weights of some can be too small to tell from none.
    count = int(present.sum(-1).max())
    mixers = list(_mixers(bank, experts, x.shape[1])) if count == _MIXED else []
    for _, near in mixers:
        x, weights = torch.cat([x, near]), torch.cat([weights, experts.weights(bank, near)])
    candidates = [*_candidates(bank, x.shape[1], count, find_order(weights)), *(mixer for mixer, _ in mixers)]
    fits = _fits(bank, candidates, x, weights)
    # Biases hide whether there are groups: without them it shows.
    with bank.zeroed(_vectors(bank)):
        again = _fits(bank, list(fits), designed, experts.weights(bank, designed))
    errors = {router: max(fits[router][0], again[router][0]) for router in again}
    if not errors:
        raise UnresolvedError(question, f"{count} of {bank.count} experts by no tensor of a row each", bank.module)
    probe = f"weights of {bank.count} experts for {len(x)} random tokens, and {len(designed)} with chosen logits"
    found = choose(question, errors, probe, module=bank.module, accept=_ACCEPT)
    best: Router = replace(found.chosen, scale=float(f"{fits[found.chosen][1]:.6g}"))
    next_best = None if found.runner_up is None else str(found.runner_up)
    return best, Evidence(question, str(best), found.error, next_best, found.runner_up_error, probe)


def _fits(bank: Bank, routers: list[Router], x: Any, weights: Any) -> dict[Router, tuple[float, float]]:
    """Router -> (relative error, scale) for the measured `weights` [n, experts] of `x`; none that is unclear mostly."""
    found = {}
    for router in routers:
        made, clear = router.weights(bank, x)
        if int(clear.sum()) < len(x) // 2:
            continue
        made, seen = made[clear], weights[clear]
        scale = float((made * seen).sum() / made.pow(2).sum())
        found[router] = relative(scale * made, seen), scale
    return found


def _vectors(bank: Bank) -> list[str]:
    return [name for name, tensor in bank.others.items() if tensor.numel() == bank.count]


def _matrices(bank: Bank, embed: int) -> list[str]:
    return [name for name, tensor in bank.others.items() if tuple(tensor.shape) == (bank.count, embed)]


def _random(bank: Bank) -> Any:
    """[n, N]: ordinary rows."""
    import torch

    generator = torch.Generator().manual_seed(12)
    embed = bank.call.input.reshape(LENGTH, -1).shape[1]
    return torch.randn(2 * LENGTH, embed, generator=generator, dtype=torch.float64)


def _designed(bank: Bank) -> Any:
    """[n, N]: rows that give logits under which groups of experts show.

    In each one expert is the best and the others of its group are the worst, for every size that a group may have.
    """
    import torch

    generator = torch.Generator().manual_seed(14)
    embed = bank.call.input.reshape(LENGTH, -1).shape[1]
    rows = []
    sizes = [size for size in range(1, bank.count // 2 + 1) if bank.count % size == 0]
    for weight in _matrices(bank, embed):
        inverse = torch.linalg.pinv(bank.others[weight].double())
        for (best, rest, worst), size in itertools.product(_LEVELS, sizes):
            for first in range(0, bank.count, size):
                logits = rest + 0.02 * torch.randn(bank.count, generator=generator, dtype=torch.float64)
                logits[first : first + size] = worst
                logits[first + int(torch.randint(size, (), generator=generator))] = best
                rows.append(inverse @ logits)
    return torch.stack(rows) if rows else _random(bank)


def _candidates(bank: Bank, embed: int, chosen: int, order: float | None) -> Iterator[Router]:
    """Every equation without a choice one after the other. `order`: of a norm that divides, beside the sum."""
    matrices = _matrices(bank, embed)
    vectors = _vectors(bank)
    if order is not None:
        yield from (replace(one, order=order) for one in _candidates(bank, embed, chosen, None) if one.normalized)
    for weight, scores, normalized in itertools.product(matrices, ("softmax", "sigmoid"), (False, True)):
        for bias, correction in itertools.product((None, *vectors), (None, *vectors)):
            if bias is not None and bias == correction:
                continue
            for groups in _groups(bank.count, chosen):
                yield Router(weight, bias, correction, scores, chosen, groups, normalized)
            if correction is not None and scores == "sigmoid":
                yield Router(weight, bias, correction, scores, chosen, (1, 1), normalized, correction_of="logits")


def _mixers(bank: Bank, experts: Experts, embed: int) -> Iterator[tuple[Router, Any]]:
    """Routers that choose one expert after the other, each with tokens [n, N] that tell them from all others."""
    import torch

    for weight in _matrices(bank, embed):
        inverse = torch.linalg.pinv(bank.others[weight].double())
        with bank.zeroed(_vectors(bank)):
            jitter = find_jitter(lambda x: experts.weights(bank, x), inverse)
        if jitter is not None:
            for bias in (None, *_vectors(bank)):
                yield Router(weight, bias, None, "sparse_mixer", _MIXED, jitter=jitter), near_rows(inverse, jitter)


def _groups(count: int, chosen: int) -> Iterator[tuple[int, int]]:
    """(groups, how many are kept): groups of two or more, of which not all are kept, and with enough experts."""
    yield 1, 1
    for groups in range(2, count // 2 + 1):
        if count % groups == 0:
            yield from ((groups, kept) for kept in range(1, groups) if kept * (count // groups) >= chosen)
