"""Attentions to be found out, written the plain way, with names that say nothing. Shapes: x [1, T, WIDTH]."""

import math
from typing import Any

import torch
from mixtures import Many
from torch import nn

WIDTH, HEADS, KV, DIM = 20, 4, 2, 6


class Mix(nn.Module):
    """`a` and `b` and `c` make what is mixed, `d` what comes out. `twist` changes the scores.

    `start` is where the first token stands, which only `growth` sees.
    """

    def __init__(
        self,
        *,
        kv: int = KV,
        layout: str | None = "half",
        turning: int = DIM,
        cap: float | None = None,
        scale: float = DIM**-0.5,
        window: int | None = None,
        slopes: bool = False,
        fused: str | None = None,
        twist: str | None = None,
        clip: float | None = None,
        sinks: bool = False,
        theta: float = 500.0,
        gate: Any = None,
        gates: int = HEADS * DIM,
        gate_bias: int = 0,
        value: int = DIM,
        louder: float = 1.0,
        growth: Any = None,
        chunk: int | None = None,
        normed: bool = False,
    ) -> None:
        super().__init__()
        self.kv, self.layout, self.turning, self.cap, self.scale = kv, layout, turning, cap, scale
        self.window, self.slopes, self.fused, self.twist, self.theta = window, slopes, fused, twist, theta
        self.clip, self.gate, self.value, self.louder, self.chunk = clip, gate, value, louder, chunk
        self.growth, self.start = growth, 0
        self.n = nn.RMSNorm(DIM, eps=1e-3, elementwise_affine=False) if normed else None
        torch.manual_seed(3)
        if gate is not None:
            self.f = nn.Linear(WIDTH, gates, bias=False)
        if gate_bias:
            self.z = nn.Parameter(torch.randn(gate_bias))
        if sinks:
            self.e = nn.Parameter(torch.randn(HEADS))
        if fused is None:
            self.a, self.b, self.c = (nn.Linear(WIDTH, n) for n in (HEADS * DIM, kv * DIM, kv * value))
        else:
            self.abc = nn.Linear(WIDTH, (HEADS + 2 * kv) * DIM)
        self.d = nn.Linear(HEADS * value, WIDTH)
        self.double()

    def _project(self, x: Any) -> tuple[Any, Any, Any]:
        t, group = x.shape[1], HEADS // self.kv
        if self.fused is None:
            return self.a(x).view(t, -1, DIM), self.b(x).view(t, -1, DIM), self.c(x).view(t, -1, self.value)
        if self.fused == "concat":
            q, k, v = self.abc(x).view(t, -1, DIM).split((HEADS, self.kv, self.kv), dim=1)
            return q, k, v
        if self.fused == "blocks":
            q, v, k = self.abc(x).view(t, 4, 3, -1, DIM).unbind(2)
            return q.flatten(1, 2), k.flatten(1, 2), v.flatten(1, 2)
        parts = self.abc(x).view(t, self.kv, group + 2, DIM)
        if self.fused == "values first":
            return parts[:, :, 2:].flatten(1, 2), parts[:, :, 1], parts[:, :, 0]
        return parts[:, :, :group].flatten(1, 2), parts[:, :, group], parts[:, :, group + 1]

    def _turn(self, x: Any) -> Any:
        if self.layout is None:
            return x
        half = self.turning // 2
        angle = torch.arange(x.shape[0]).double()[:, None, None] * self.theta ** (-torch.arange(half).double() / half)
        cos, sin = angle.cos(), angle.sin()
        pair = {
            "half": (slice(0, half), slice(half, 2 * half)),
            "interleaved": (slice(0, 2 * half, 2), slice(1, 2 * half, 2)),
        }
        first, second = pair[self.layout]
        out = x.clone()
        out[..., first] = x[..., first] * cos - x[..., second] * sin
        out[..., second] = x[..., second] * cos + x[..., first] * sin
        return out

    def forward(self, x: Any) -> Any:
        t = x.shape[1]
        q, k, v = self._project(x)
        if self.clip is not None:
            q, k, v = (y.clamp(-self.clip, self.clip) for y in (q, k, v))
        if self.twist == "shifted key":
            k = torch.cat((nn.functional.pad(k, (0, 0, 0, 0, 1, 0))[:-1, :, :3], k[..., 3:]), dim=-1)
        if self.twist == "clamped":
            q = q.clamp(-0.5, 0.5)
        q, k = self._turn(q), self._turn(k)
        if self.n is not None:
            q, k = self.n(q), self.n(k)
        k, v = (y.repeat_interleave(HEADS // self.kv, dim=1) for y in (k, v))
        if self.growth is not None:
            q = q * self.growth(torch.arange(self.start, self.start + t).double())[:, None, None]
        s = torch.einsum("thd,shd->hts", q, k) * self.scale
        if self.twist == "temperature":
            s = s * (1 + 0.1 * torch.arange(t).double()[:, None])
        if self.twist == "temperature of heads":
            s = s * torch.arange(1, HEADS + 1).double()[:, None, None]
        if self.cap is not None:
            s = self.cap * torch.tanh(s / self.cap)
        distance = torch.arange(t)[:, None] - torch.arange(t)
        if self.slopes:
            s = s - torch.tensor([2.0 ** -(8 * (h + 1) / HEADS) for h in range(HEADS)])[:, None, None] * distance
        seen = (distance >= 0) & (distance < (self.window or t))
        if self.chunk is not None:
            shift = 5 if self.twist == "later chunks" else 0
            number = (torch.arange(t) + shift) // self.chunk
            seen = seen & (number[:, None] == number)
        if self.twist == "first token":
            seen = seen | (torch.arange(t) == 0)[None, :] & (distance >= 0)
        p = s.masked_fill(~seen, -math.inf).softmax(-1)
        if self.twist == "sink":
            p = s.masked_fill(~seen, -math.inf).exp() / (
                1 + s.masked_fill(~seen, -math.inf).exp().sum(-1, keepdim=True)
            )
        if hasattr(self, "e"):
            sinks = self.e[:, None, None].expand(-1, t, 1)
            p = torch.cat((s.masked_fill(~seen, -math.inf), sinks), dim=-1).softmax(-1)[..., :-1]
        out = self.louder * torch.einsum("hts,shd->thd", p, v).reshape(1, t, -1)
        if self.gate is not None:
            gates = self.f(x)
            if hasattr(self, "z"):
                gates = gates + self.z.repeat_interleave(gates.shape[-1] // len(self.z))
            gates = self.gate(gates)
            out = out * gates.repeat_interleave(out.shape[-1] // gates.shape[-1], dim=-1)
        return self.d(out)


Q_RANK, RANK, OWN, SHARED, VALUE = 9, 7, 4, 6, 5


class LowMix(nn.Module):
    """Keys and values from a vector of low rank: `a` and `b` make queries, `c` and `d` keys and values, `e` what comes
    out; `n` and `o` are norms between. `twist` changes one thing. `joined`: queries are made from what `n` is given,
    too. `gate`: of what `b` makes beside each head's query."""

    def __init__(
        self,
        *,
        low: bool = True,
        layout: str = "half",
        stretch: float = 1.0,
        twist: str | None = None,
        joined: bool = False,
        gate: Any = None,
    ) -> None:
        super().__init__()
        self.layout, self.stretch, self.twist, self.low = layout, stretch, twist, low
        self.joined, self.gate = joined, gate
        torch.manual_seed(5)
        if low:
            self.a, self.n = nn.Linear(WIDTH, Q_RANK), nn.LayerNorm(Q_RANK)
        made = OWN + SHARED + (0 if gate is None else VALUE)
        self.b = nn.Linear((1 + joined) * Q_RANK if low else WIDTH, HEADS * made, bias=False)
        self.c = nn.Linear(WIDTH, RANK if twist == "a map of its own" else RANK + SHARED)
        if twist == "a map of its own":
            self.f = nn.Linear(WIDTH, SHARED)
        self.o = nn.Identity() if twist == "no norm" else nn.LayerNorm(RANK, eps=1e-3 if twist == "epsilons" else 1e-5)
        self.d = nn.Linear(RANK, HEADS * (OWN + VALUE), bias=twist == "bias")
        self.e = nn.Linear(HEADS * VALUE, WIDTH)
        self.double()

    def _turned(self, x: Any) -> Any:
        """`x` [T, ..., SHARED] rotated, cosine and sine times `stretch`."""
        half = x.shape[-1] // 2
        angle = torch.arange(x.shape[0]).double().reshape(-1, *[1] * (x.dim() - 1))
        angle = angle * 500.0 ** (-torch.arange(half).double() / half)
        first, second = (x[..., :half], x[..., half:]) if self.layout == "half" else (x[..., 0::2], x[..., 1::2])
        cos, sin = self.stretch * angle.cos(), self.stretch * angle.sin()
        turned = (first * cos - second * sin, second * cos + first * sin)
        return torch.cat(turned, dim=-1) if self.layout == "half" else torch.stack(turned, dim=-1).flatten(-2)

    def forward(self, x: Any) -> Any:
        t = x.shape[1]
        down = self.a(x) if self.low else x
        y = self.n(down) if self.low else x
        given = torch.cat((down, y) if self.twist == "as it is first" else (y, down), -1) if self.joined else y
        q = self.b(given).view(t, HEADS, -1)
        if self.twist == "gates first":
            gates, q = q.split((q.shape[-1] - OWN - SHARED, OWN + SHARED), dim=-1)
        else:
            q, gates = q.split((OWN + SHARED, q.shape[-1] - OWN - SHARED), dim=-1)
        down = self.c(x)[0]
        shared = self.f(x)[0] if self.twist == "a map of its own" else down[:, RANK:]
        factor = 2.0 if self.twist == "a factor" else 1.0
        up = self.d(factor * self.o(down[:, :RANK])).view(t, HEADS, OWN + VALUE)
        if self.twist == "values first":
            v, k = up.split((VALUE, OWN), dim=-1)
        else:
            k, v = up.split((OWN, VALUE), dim=-1)
        if self.twist == "shared part first":
            turning, still = q.split((SHARED, OWN), dim=-1)
        else:
            still, turning = q.split((OWN, SHARED), dim=-1)
        if self.twist == "own part turns":
            still, k = self._turned(still), self._turned(k)
        if self.twist != "nothing turns":
            turning, shared = self._turned(turning), self._turned(shared)
        s = torch.einsum("thd,shd->hts", still, k) + torch.einsum("thd,sd->hts", turning, shared)
        s = s * (OWN + SHARED) ** -0.5
        if self.twist == "scale by head":
            s = s * torch.arange(1, HEADS + 1).double()[:, None, None]
        p = s.masked_fill(self._hidden(x, y), -math.inf).softmax(-1)
        out = torch.einsum("hts,shd->thd", p, v)
        return self.e((out if self.gate is None else out * self.gate(gates)).reshape(1, t, -1))

    def _hidden(self, x: Any, y: Any) -> Any:
        """[T, T] bool: True where a query doesn't see a key. `y`: what queries are made of."""
        return torch.ones(x.shape[1], x.shape[1]).triu(1).bool()


INDEX_HEADS, INDEX_DIM, CHOSEN = 3, 8, 6


class Chooser(nn.Module):
    """`j` makes queries, `k` and `l` keys, `w` weights: the positions [1, T, CHOSEN] with the largest scores."""

    def __init__(self, turned: Any, *, form: str, offset: int, bias: bool) -> None:
        super().__init__()
        self.turned, self.form, self.offset = turned, form, offset
        self.j = nn.Linear(Q_RANK, INDEX_HEADS * INDEX_DIM, bias=bias)
        self.k, self.l = nn.Linear(WIDTH, INDEX_DIM, bias=False), nn.LayerNorm(INDEX_DIM, eps=1e-4)
        self.w = nn.Linear(WIDTH, INDEX_HEADS, bias=False)

    def forward(self, x: Any, y: Any) -> Any:
        t = x.shape[1]
        q, k, n = self.j(y).view(t, INDEX_HEADS, INDEX_DIM), self.l(self.k(x))[0], self.offset
        q, k = (torch.cat((z[..., :n], self.turned(z[..., n : n + SHARED]), z[..., n + SHARED :]), -1) for z in (q, k))
        s = torch.einsum("thd,sd->ths", q, k)
        s = {"relu": torch.relu, "linear": torch.Tensor.clone, "softmax": lambda z: z.softmax(-1)}[self.form](s)
        s = torch.einsum("th,ths->ts", self.w(x)[0], s).masked_fill(torch.ones(t, t).triu(1).bool(), -math.inf)
        return s.topk(CHOSEN, dim=-1).indices[None]


class ChoosyMix(LowMix):
    """A query sees the keys that `z` chooses. `offset`: of the dimensions that turn."""

    def __init__(self, *, form: str = "relu", offset: int = 0, bias: bool = False, **more: Any) -> None:
        super().__init__(**more)
        self.z = Chooser(self._turned, form=form, offset=offset, bias=bias)
        self.double()

    def _hidden(self, x: Any, y: Any) -> Any:
        hidden = super()._hidden(x, y)
        unchosen = torch.ones_like(hidden).scatter(-1, self.z(x, y)[0], False)
        return hidden | unchosen


class ToldMix(LowMix):
    """A query sees the keys that `chosen` [1, T, count] says. `twist`: what else is done with them."""

    chosen: Any

    def _hidden(self, x: Any, y: Any) -> Any:
        hidden, chosen = super()._hidden(x, y), self.chosen[0]
        every = torch.arange(len(hidden))
        if self.twist == "ignored":
            chosen = every.expand(hidden.shape)
        elif self.twist == "shifted":
            chosen = torch.cat(((chosen + 1) % len(hidden), every[:, None]), dim=-1)
        return hidden | torch.ones_like(hidden).scatter(-1, chosen, False)


class Block(nn.Module):
    """A layer around a mix: `order` says what feeds what."""

    def __init__(
        self, mix: nn.Module, *, order: str = "pre", factor: float = 1.0, act: Any = nn.functional.silu
    ) -> None:
        super().__init__()
        self.order, self.factor, self.act = order, factor, act
        torch.manual_seed(4)
        self.m = mix
        count = {"sandwich": 4, "shared": 1, "no first norm": 1, "no second norm": 1}.get(order, 2)
        for name in {"no first norm": "t"}.get(order, "stuv"[:count]):
            self.add_module(name, nn.LayerNorm(WIDTH))
        self.g, self.h, self.i = nn.Linear(WIDTH, 14), nn.Linear(WIDTH, 14), nn.Linear(14, WIDTH)
        if "bias" in order:
            self.w = nn.Parameter(torch.zeros(WIDTH))
        if "experts" in order:
            self.q = Many()
        self.double()
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=0.4)

    def _thick(self, x: Any) -> Any:
        return self.i(self.act(self.g(x)) * self.h(x))

    def forward(self, x: Any) -> Any:
        f = self.factor
        match self.order:
            case "pre":
                x = x + f * self.m(self.s(x))
                return x + f * self._thick(self.t(x))
            case "averaged":
                x = 3**-0.5 * (2**0.5 * x + self.m(self.s(x)))
                return 0.5 * (3**0.5 * x + f * self._thick(self.t(x)))
            case "post":
                x = self.s(x + f * self.m(x))
                return self.t(x + f * self._thick(x))
            case "sandwich":
                x = x + f * self.t(self.m(self.s(x)))
                return x + f * self.v(self._thick(self.u(x)))
            case "output":
                x = x + f * self.s(self.m(x))
                return x + f * self.t(self._thick(x))
            case "shared":
                y = self.s(x)
                return x + f * self.m(y) + f * self._thick(y)
            case "separate":
                return x + f * self.m(self.s(x)) + f * self._thick(self.t(x))
            case "no first norm":
                x = x + f * self.m(x)
                return x + f * self._thick(self.t(x))
            case "no second norm":
                x = x + f * self.m(self.s(x))
                return x + f * self._thick(x)
            case "added bias":
                x = x + f * (self.m(self.s(x)) + self.w)
                return x + f * self._thick(self.t(x))
            case "bias of the stream":
                x = x + self.w + f * self.m(self.s(x))
                return x + f * self._thick(self.t(x))
            case "bias of the MLP":
                x = x + f * self.m(self.s(x))
                return x + f * (self._thick(self.t(x)) + self.w)
            case "experts":
                x = x + f * self.m(self.s(x))
                y = self.t(x)
                return x + f * (self.q(y) + self._thick(y))
            case "experts and half":
                x = x + f * self.m(self.s(x))
                y = self.t(x)
                return x + f * (self.q(y) + 0.5 * self._thick(y))
            case "experts before a norm":
                x = x + f * self.m(self.s(x))
                return x + f * (self.q(self.t(x)) + self._thick(x))
            case "normed residual":
                x = self.s(x)
                return x + f * self.m(x) + f * self._thick(self.t(x))
        raise AssertionError(self.order)
