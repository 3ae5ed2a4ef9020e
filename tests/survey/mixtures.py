"""Mixtures of experts to be found out, written the plain way, with names that say nothing. Shapes: x [1, T, WIDTH]."""

from typing import Any

import torch
from torch import nn

WIDTH, INNER, EXPERTS, CHOSEN = 20, 14, 12, 3


class Rows(nn.Module):
    """All experts in one tensor each: `u` makes gate and up, `w` goes back."""

    def __init__(
        self, *, order: str, transposed: bool, bias: bool, cut: tuple[float, float] | None = None, more: float = 1.0
    ) -> None:
        super().__init__()
        self.order, self.transposed, self.cut, self.more = order, transposed, cut, more
        into, out = (2 * INNER, WIDTH), (WIDTH, INNER)
        self.u = nn.Parameter(torch.empty(EXPERTS, *(into[::-1] if transposed else into)))
        self.w = nn.Parameter(torch.empty(EXPERTS, *(out[::-1] if transposed else out)))
        self.y = nn.Parameter(torch.empty(EXPERTS, 2 * INNER)) if bias else None
        self.z = nn.Parameter(torch.empty(EXPERTS, WIDTH)) if bias else None

    def forward(self, x: Any, number: int) -> Any:
        u, w = self.u[number], self.w[number]
        both = x @ (u if self.transposed else u.T)
        both = both if self.y is None else both + self.y[number]
        gate, up = (both[..., 0::2], both[..., 1::2]) if self.order == "turns" else both.chunk(2, dim=-1)
        out = self._joined(gate, up) @ (w if self.transposed else w.T)
        return out if self.z is None else out + self.z[number]

    def _joined(self, gate: Any, up: Any) -> Any:
        if self.cut is None:
            return nn.functional.silu(gate) * up
        alpha, limit = self.cut
        gate, up = gate.clamp(max=limit), up.clamp(-limit, limit)
        return gate * (alpha * gate).sigmoid() * (up + self.more)


class Flat(Rows):
    """The rows of all experts one after the other: gate in `l`, up in `m`, and what goes back in `n`, {in, out}."""

    def __init__(self) -> None:
        super().__init__(order="halves", transposed=False, bias=False)
        del self.u, self.w
        self.l, self.m, self.n = (nn.Parameter(torch.empty(EXPERTS * INNER, WIDTH)) for _ in "lmn")

    def forward(self, x: Any, number: int) -> Any:
        gate, up, back = (held.view(EXPERTS, INNER, WIDTH)[number] for held in (self.l, self.m, self.n))
        return (nn.functional.silu(x @ gate.T) * (x @ up.T)) @ back


class One(nn.Module):
    """One expert as a module of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.g, self.h = (nn.Linear(WIDTH, INNER, bias=False) for _ in "gh")
        self.i = nn.Linear(INNER, WIDTH, bias=False)

    def forward(self, x: Any) -> Any:
        return self.i(nn.functional.silu(self.g(x)) * self.h(x))


class Many(nn.Module):
    """`r` says which experts a token goes to. `twist` changes what they weigh. `cut`: alpha and limit of gates.
    `over`: the order of the norm that weights are divided by. `others`: what experts of other groups count as.

    `after`: times what a norm makes of all of it; None without that norm.
    """

    def __init__(
        self,
        *,
        scores: str = "softmax",
        normalized: bool = True,
        scale: float = 1.0,
        bias: bool = False,
        correction: str | None = None,
        groups: int = 1,
        kept: int = 1,
        shared: str | None = None,
        stored: str = "rows",
        order: str = "halves",
        transposed: bool = False,
        biases: bool = False,
        twist: str | None = None,
        cut: tuple[float, float] | None = None,
        more: float = 1.0,
        jitter: float | None = None,
        after: float | None = None,
        over: float = 1.0,
        others: float = float("-inf"),
    ) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.scores, self.normalized, self.scale, self.twist = scores, normalized, scale, twist
        self.groups, self.kept, self.correction, self.jitter, self.over = groups, kept, correction, jitter, over
        self.others = others
        self.r = nn.Linear(WIDTH, EXPERTS, bias=bias)
        self.c = nn.Parameter(torch.empty(EXPERTS)) if correction else None
        self.e = (
            nn.ModuleList(One() for _ in range(EXPERTS))
            if stored == "each"
            else Flat()
            if stored == "flat"
            else Rows(order=order, transposed=transposed, bias=biases, cut=cut, more=more)
        )
        self.s = One() if shared else None
        self.t = nn.Linear(WIDTH, 1, bias=False) if shared == "gated" else None
        self.n, self.after = None if after is None else nn.RMSNorm(WIDTH, eps=1e-4), after
        self.double()
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=0.4)

    def _weights(self, x: Any) -> Any:
        """[..., EXPERTS]."""
        logits = self.r(x)
        if self.jitter is not None:
            return self._mixed(logits, self.jitter) * self.scale
        scores = logits.sigmoid() if self.scores == "sigmoid" else logits.softmax(-1)
        compared = scores if self.c is None else (scores if self.correction == "scores" else logits) + self.c
        if self.groups > 1:
            grouped = compared.unflatten(-1, (self.groups, -1))
            best = grouped.topk(2, dim=-1)[0].sum(-1).topk(self.kept, dim=-1)[1]
            kept = torch.zeros_like(grouped[..., 0]).scatter(-1, best, 1.0)
            compared = grouped.masked_fill(kept[..., None] == 0, self.others).flatten(-2)
        chosen = compared.topk(CHOSEN, dim=-1)[1]
        weights = torch.zeros_like(scores).scatter(-1, chosen, scores.gather(-1, chosen))
        if self.twist == "squared":
            weights = weights**2
        if self.twist == "capped":
            weights = weights.clamp(max=0.3)
        if self.normalized:
            weights = weights / weights.norm(p=self.over, dim=-1, keepdim=True)
        return weights * self.scale

    def _mixed(self, logits: Any, jitter: float) -> Any:
        """Two experts, one after the other, each weighed against those nearly as good."""
        left, weights = logits.clone(), torch.zeros_like(logits)
        for _ in range(2):
            best, index = left.max(dim=-1, keepdim=True)
            far = (best - left) / torch.maximum(logits.abs(), best) > 2 * jitter
            shared = left.masked_fill(far, float("-inf")).softmax(-1)
            weights = weights.scatter(-1, index, shared.gather(-1, index))
            left = left.scatter(-1, index, float("-inf"))
        return weights.sqrt() if self.twist == "rooted" else weights

    def forward(self, x: Any) -> Any:
        weights = self._weights(x)
        out = torch.zeros_like(x)
        for number in range(EXPERTS):
            weight = weights[..., number : number + 1]
            given = x * weight if self.twist == "input" else x
            made = self.e(given, number) if isinstance(self.e, Rows) else self.e[number](given)
            out = out + (made * (weight != 0) if self.twist == "input" else made * weight)
        if self.s is not None:
            out = out + (self.s(x) if self.t is None else self.t(x).sigmoid() * self.s(x))
        return out if self.n is None else self.after * self.n(out)


class Holder(nn.Module):
    """What holds a mixture, as a layer does."""

    def __init__(self, many: Many) -> None:
        super().__init__()
        self.q = many

    def forward(self, x: Any) -> Any:
        return x + self.q(x)
