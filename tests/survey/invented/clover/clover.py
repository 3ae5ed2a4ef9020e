"""An invented mixture of experts under unlike names: each one a module of its own, sigmoids with a bias that only
chooses, over their sum and times a factor, and one expert that every token goes to through a gate."""

import torch
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.activations import ACT2FN
from transformers.modeling_outputs import CausalLMOutput


class CloverConfig(PretrainedConfig):
    model_type = "clover"
    breadth: int = 256
    storeys: int = 6
    lookers: int = 8
    shared_lookers: int = 4
    bee_breadth: int = 320
    queen_breadth: int = 480
    bees: int = 16
    sent: int = 4
    nectar: float = 1.0
    bend: str = "gelu"
    floor: float = 1e-5
    swirl: dict | None = None
    vocab_size: int = 512

    def __post_init__(self, **kwargs):
        super().__post_init__(**kwargs)
        self.swirl = self.swirl or {"rope_theta": 5000.0, "rope_type": "default"}


class Steady(nn.Module):
    def __init__(self, size, floor):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(size))
        self.floor = floor

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.floor) * (1 + self.weight)


def swirl(x, base):
    """x [batch, heads, time, width]: pairs (2i, 2i + 1) turn."""
    half = x.shape[-1] // 2
    speed = base ** (-torch.arange(half, dtype=torch.float64) / half)
    angle = torch.arange(x.shape[2], dtype=torch.float64)[:, None] * speed
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    even, odd = x[..., 0::2], x[..., 1::2]
    return torch.stack((even * cos - odd * sin, odd * cos + even * sin), dim=-1).flatten(-2)


class Stir(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.span = c.breadth // c.lookers
        self.base = c.swirl["rope_theta"]
        self.one = nn.Linear(c.breadth, c.lookers * self.span, bias=False)
        self.two = nn.Linear(c.breadth, c.shared_lookers * self.span, bias=False)
        self.three = nn.Linear(c.breadth, c.shared_lookers * self.span, bias=False)
        self.back = nn.Linear(c.lookers * self.span, c.breadth, bias=False)
        self.calm_one = Steady(self.span, c.floor)
        self.calm_two = Steady(self.span, c.floor)

    def forward(self, x):
        b, t, _ = x.shape
        three, two, one = (p(x).view(b, t, -1, self.span) for p in (self.three, self.two, self.one))
        a = swirl(self.calm_one(one).transpose(1, 2), self.base)
        k = swirl(self.calm_two(two).transpose(1, 2), self.base)
        v = three.transpose(1, 2)
        times = a.shape[1] // k.shape[1]
        k, v = k.repeat_interleave(times, dim=1), v.repeat_interleave(times, dim=1)
        s = a @ k.transpose(-1, -2) / self.span**0.5
        s = s.masked_fill(torch.ones(t, t, dtype=torch.bool).triu(1), float("-inf"))
        return self.back((s.softmax(-1) @ v).transpose(1, 2).reshape(b, t, -1))


class Bee(nn.Module):
    def __init__(self, c, breadth):
        super().__init__()
        self.wide = nn.Linear(c.breadth, breadth, bias=False)
        self.lid = nn.Linear(c.breadth, breadth, bias=False)
        self.narrow = nn.Linear(breadth, c.breadth, bias=False)
        self.bend = ACT2FN[c.bend]

    def forward(self, x):
        return self.narrow(self.wide(x) * self.bend(self.lid(x)))


class Push(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.dance = nn.Linear(c.breadth, c.bees, bias=False)
        self.mood = nn.Parameter(torch.zeros(c.bees), requires_grad=False)
        self.swarm = nn.ModuleList([Bee(c, c.bee_breadth) for _ in range(c.bees)])
        self.queen = Bee(c, c.queen_breadth)
        self.veil = nn.Linear(c.breadth, 1, bias=False)
        self.sent, self.nectar = c.sent, c.nectar

    def forward(self, x):
        calls = self.dance(x).sigmoid()
        chosen = (calls + self.mood).topk(self.sent, dim=-1)[1]
        share = calls.gather(-1, chosen)
        share = self.nectar * share / share.sum(-1, keepdim=True)
        out = self.veil(x).sigmoid() * self.queen(x)
        for number, bee in enumerate(self.swarm):
            out = out + (share * (chosen == number)).sum(-1, keepdim=True) * bee(x)
        return out


class Storey(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.left = Steady(c.breadth, c.floor)
        self.right = Steady(c.breadth, c.floor)
        self.stir = Stir(c)
        self.push = Push(c)

    def forward(self, x):
        x = x + self.stir(self.left(x))
        return x + self.push(self.right(x))


class CloverForCausalLM(PreTrainedModel):
    config_class = CloverConfig

    def __init__(self, config):
        super().__init__(config)
        self.pebbles = nn.Embedding(config.vocab_size, config.breadth)
        self.tower = nn.ModuleList([Storey(config) for _ in range(config.storeys)])
        self.roof = Steady(config.breadth, config.floor)
        self.say = nn.Linear(config.breadth, config.vocab_size, bias=False)
        self.post_init()

    def forward(self, input_ids, **kwargs):
        x = self.pebbles(input_ids)
        for storey in self.tower:
            x = storey(x)
        return CausalLMOutput(logits=self.say(self.roof(x)))
