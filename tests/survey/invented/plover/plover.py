"""An invented decoder of known parts that no released model puts together: it sees its own stretch of shore only, one
calm without a gain is taken of what looks and of what is looked at before they turn, and a look grows the longer the
walk has been, in every layer."""

import torch
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.activations import ACT2FN
from transformers.modeling_outputs import CausalLMOutput


class PloverConfig(PretrainedConfig):
    model_type = "plover"
    span: int = 256
    dunes: int = 6
    looks: int = 8
    paths: int = 4
    beak: int = 640
    stretch: int = 512
    lull: int = 300
    swell: float = 0.2
    peep: str = "silu"
    salt: float = 1e-5
    turn: dict | None = None
    vocab_size: int = 512

    def __post_init__(self, **kwargs):
        super().__post_init__(**kwargs)
        self.turn = self.turn or {"rope_theta": 3000.0, "rope_type": "default"}


class Calm(nn.Module):
    def __init__(self, salt, size=None):
        super().__init__()
        self.weight = None if size is None else nn.Parameter(torch.ones(size))
        self.salt = salt

    def forward(self, x):
        x = x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.salt)
        return x if self.weight is None else self.weight * x


def turned(x, theta):
    """x [batch, heads, time, width]: pairs (i, i + width / 2) turn."""
    half = x.shape[-1] // 2
    angle = torch.arange(x.shape[2]).double()[:, None] * theta ** (-torch.arange(half).double() / half)
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    a, b = x[..., :half], x[..., half:]
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)


class Scan(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.reach, self.theta, self.stretch = c.span // c.looks, c.turn["rope_theta"], c.stretch
        self.lull, self.swell = c.lull, c.swell
        self.seek = nn.Linear(c.span, c.looks * self.reach, bias=False)
        self.show = nn.Linear(c.span, c.paths * self.reach, bias=False)
        self.food = nn.Linear(c.span, c.paths * self.reach, bias=False)
        self.home = nn.Linear(c.looks * self.reach, c.span, bias=False)
        self.calm = Calm(c.salt)

    def forward(self, x):
        b, t, _ = x.shape
        q, k, v = (p(x).view(b, t, -1, self.reach).transpose(1, 2) for p in (self.seek, self.show, self.food))
        q, k = turned(self.calm(q), self.theta), turned(self.calm(k), self.theta)
        at = torch.arange(t)
        grown = torch.log1p((at + 1) // self.lull) * self.swell + 1
        q = q * grown.to(q.dtype)[:, None]
        k, v = (y.repeat_interleave(q.shape[1] // k.shape[1], dim=1) for y in (k, v))
        s = q @ k.transpose(-1, -2) / self.reach**0.5
        seen = (at[:, None] >= at) & (at[:, None] // self.stretch == at // self.stretch)
        s = s.masked_fill(~seen, float("-inf"))
        return self.home((s.softmax(-1) @ v).transpose(1, 2).reshape(b, t, -1))


class Peck(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.dig = nn.Linear(c.span, c.beak, bias=False)
        self.pull = nn.Linear(c.span, c.beak, bias=False)
        self.eat = nn.Linear(c.beak, c.span, bias=False)
        self.peep = ACT2FN[c.peep]

    def forward(self, x):
        return self.eat(self.peep(self.dig(x)) * self.pull(x))


class Dune(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.dawn, self.dusk = Calm(c.salt, c.span), Calm(c.salt, c.span)
        self.scan, self.peck = Scan(c), Peck(c)

    def forward(self, x):
        x = x + self.scan(self.dawn(x))
        return x + self.peck(self.dusk(x))


class PloverForCausalLM(PreTrainedModel):
    config_class = PloverConfig

    def __init__(self, config):
        super().__init__(config)
        self.sand = nn.Embedding(config.vocab_size, config.span)
        self.shore = nn.ModuleList([Dune(config) for _ in range(config.dunes)])
        self.night = Calm(config.salt, config.span)
        self.call = nn.Linear(config.span, config.vocab_size, bias=False)
        self.post_init()

    def forward(self, input_ids, **kwargs):
        x = self.sand(input_ids)
        for dune in self.shore:
            x = dune(x)
        return CausalLMOutput(logits=self.call(self.night(x)))
