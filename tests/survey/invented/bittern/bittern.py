"""An invented mixture over latent attention under unlike names: queries of full rank beside keys and values of a low
one, whose pairs lie side by side; the first layers have a plain gated MLP; the others' reeds are weighed by a sigmoid
with a bias that only chooses, in the best of some clumps, and a bank that every token goes to stands beside them."""

import torch
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.activations import ACT2FN
from transformers.modeling_outputs import CausalLMOutput


class BitternConfig(PretrainedConfig):
    model_type = "bittern"
    spread: int = 256
    flights: int = 6
    calls: int = 8
    pool: int = 72
    still: int = 24
    ripple: int = 16
    catch: int = 40
    marsh: int = 640
    reed: int = 160
    reeds: int = 16
    bent: int = 4
    clumps: int = 4
    near: int = 2
    dry: int = 1
    boom: float = 2.5
    beat: str = "silu"
    mud: float = 1e-6
    drift: dict | None = None
    vocab_size: int = 512

    def __post_init__(self, **kwargs):
        super().__post_init__(**kwargs)
        self.drift = self.drift or {"rope_theta": 20000.0, "rope_type": "default"}


class Calm(nn.Module):
    def __init__(self, size, mud):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.mud = mud

    def forward(self, x):
        return self.weight * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.mud)


def drift(x, theta):
    """x [batch, heads, time, width]: pairs (2 i, 2 i + 1) turn."""
    half = x.shape[-1] // 2
    angle = torch.arange(x.shape[-2], dtype=torch.float32)[:, None] * theta ** (-torch.arange(half) / half)
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    one, two = x[..., ::2], x[..., 1::2]
    return torch.stack((one * cos - two * sin, two * cos + one * sin), dim=-1).flatten(-2)


class Listen(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c
        self.ask = nn.Linear(c.spread, c.calls * (c.still + c.ripple), bias=False)
        self.sink = nn.Linear(c.spread, c.pool + c.ripple, bias=False)
        self.settle = Calm(c.pool, c.mud)
        self.rise = nn.Linear(c.pool, c.calls * (c.still + c.catch), bias=False)
        self.back = nn.Linear(c.calls * c.catch, c.spread, bias=False)

    def forward(self, x):
        c, (b, t, _) = self.c, x.shape
        still, quick = self.ask(x).view(b, t, c.calls, -1).transpose(1, 2).split((c.still, c.ripple), dim=-1)
        kept, wave = self.sink(x).split((c.pool, c.ripple), dim=-1)
        risen = self.rise(self.settle(kept)).view(b, t, c.calls, -1).transpose(1, 2)
        trail, catch = risen.split((c.still, c.catch), dim=-1)
        theta = c.drift["rope_theta"]
        near = drift(quick, theta) @ drift(wave[:, None], theta).transpose(-1, -2)
        s = (still @ trail.transpose(-1, -2) + near) / (c.still + c.ripple) ** 0.5
        s = s.masked_fill(torch.ones(t, t, dtype=torch.bool).triu(1), float("-inf"))
        return self.back((s.softmax(-1) @ catch).transpose(1, 2).reshape(b, t, -1))


class Bank(nn.Module):
    def __init__(self, c, width):
        super().__init__()
        self.shade, self.light = nn.Linear(c.spread, width, bias=False), nn.Linear(c.spread, width, bias=False)
        self.shore = nn.Linear(width, c.spread, bias=False)
        self.beat = ACT2FN[c.beat]

    def forward(self, x):
        return self.shore(self.beat(self.shade(x)) * self.light(x))


class Bed(nn.Module):
    """All reeds: `stem` makes gate and up, `plume` goes back."""

    def __init__(self, c):
        super().__init__()
        self.stem = nn.Parameter(torch.zeros(c.reeds, 2 * c.reed, c.spread))
        self.plume = nn.Parameter(torch.zeros(c.reeds, c.spread, c.reed))
        self.beat = ACT2FN[c.beat]

    def forward(self, x, share, chosen):
        out = torch.zeros_like(x)
        for number in range(len(self.stem)):
            gate, up = (x @ self.stem[number].T).chunk(2, dim=-1)
            weight = (share * (chosen == number)).sum(-1, keepdim=True)
            out = out + weight * ((self.beat(gate) * up) @ self.plume[number].T)
        return out


class Fen(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c
        self.wind = nn.Linear(c.spread, c.reeds, bias=False)
        self.register_buffer("lean", torch.zeros(c.reeds))
        self.bed, self.bank = Bed(c), Bank(c, c.reed)

    def forward(self, x):
        c, force = self.c, self.wind(x).sigmoid()
        swayed = (force + self.lean).unflatten(-1, (c.clumps, -1))
        clumps = swayed.topk(2, dim=-1)[0].sum(-1).topk(c.near, dim=-1)[1]
        there = torch.zeros_like(swayed[..., 0]).scatter(-1, clumps, 1.0)
        chosen = swayed.masked_fill(there[..., None] == 0, float("-inf")).flatten(-2).topk(c.bent, dim=-1)[1]
        share = force.gather(-1, chosen)
        return self.bed(x, c.boom * share / share.sum(-1, keepdim=True), chosen) + self.bank(x)


class Flight(nn.Module):
    def __init__(self, c, number):
        super().__init__()
        self.dusk, self.dawn = Calm(c.spread, c.mud), Calm(c.spread, c.mud)
        self.listen = Listen(c)
        self.land = Bank(c, c.marsh) if number < c.dry else Fen(c)

    def forward(self, x):
        x = x + self.listen(self.dusk(x))
        return x + self.land(self.dawn(x))


class BitternForCausalLM(PreTrainedModel):
    config_class = BitternConfig

    def __init__(self, config):
        super().__init__(config)
        self.eggs = nn.Embedding(config.vocab_size, config.spread)
        self.year = nn.ModuleList([Flight(config, number) for number in range(config.flights)])
        self.rest = Calm(config.spread, config.mud)
        self.cry = nn.Linear(config.spread, config.vocab_size, bias=False)
        self.post_init()

    def forward(self, input_ids, **kwargs):
        x = self.eggs(input_ids)
        for flight in self.year:
            x = flight(x)
        return CausalLMOutput(logits=self.cry(self.rest(x)))
