"""An invented mixture of experts with a router that levgen doesn't know: the angle between a token and each expert's
direction decides, whatever their lengths are."""

import torch
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.activations import ACT2FN
from transformers.modeling_outputs import CausalLMOutput


class FoxgloveConfig(PretrainedConfig):
    model_type = "foxglove"
    breadth: int = 256
    storeys: int = 6
    lookers: int = 8
    shared_lookers: int = 4
    bee_breadth: int = 320
    bees: int = 16
    sent: int = 4
    heat: float = 4.0
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


class Hive(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.wings = nn.Parameter(torch.zeros(c.bees, 2 * c.bee_breadth, c.breadth))
        self.sting = nn.Parameter(torch.zeros(c.bees, c.breadth, c.bee_breadth))
        self.bend = ACT2FN[c.bend]

    def forward(self, x, share, chosen):
        out = torch.zeros_like(x)
        for number in range(len(self.sting)):
            lid, wide = (x @ self.wings[number].T).chunk(2, dim=-1)
            made = (self.bend(lid) * wide) @ self.sting[number].T
            out = out + (share * (chosen == number)).sum(-1, keepdim=True) * made
        return out


class Push(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.aim = nn.Linear(c.breadth, c.bees, bias=False)
        self.hive = Hive(c)
        self.sent, self.heat = c.sent, c.heat

    def forward(self, x):
        near = nn.functional.normalize(x, dim=-1) @ nn.functional.normalize(self.aim.weight, dim=-1).T
        share, chosen = (self.heat * near).softmax(-1).topk(self.sent, dim=-1)
        return self.hive(x, share, chosen)


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


class FoxgloveForCausalLM(PreTrainedModel):
    config_class = FoxgloveConfig

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
