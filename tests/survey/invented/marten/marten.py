"""An invented decoder of known parts under unlike names: latent attention within a window, its norms like all others,
which are layer norms around both blocks; biases of the maps down by a switch; an MLP without a gate; capped logits."""

import torch
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.activations import ACT2FN
from transformers.modeling_outputs import CausalLMOutput


class MartenConfig(PretrainedConfig):
    model_type = "marten"
    girth: int = 256
    branches: int = 6
    whiskers: int = 8
    scout: int = 112
    cache: int = 72
    still_fur: int = 24
    quick_fur: int = 16
    prey: int = 40
    belly: int = 640
    gait: str = "gelu"
    frost: float = 1e-5
    range: int = 96
    lair: bool = True
    hush: float = 30.0
    spin: dict | None = None
    vocab_size: int = 512

    def __post_init__(self, **kwargs):
        super().__post_init__(**kwargs)
        self.spin = self.spin or {"rope_theta": 20000.0, "rope_type": "default"}


def spin(x, base):
    """x [batch, heads, time, width]: dimension i turns with i + width / 2."""
    half = x.shape[-1] // 2
    angle = torch.arange(x.shape[-2], dtype=torch.float32)[:, None] / base ** (torch.arange(half) / half)
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    one, two = x[..., :half], x[..., half:]
    return torch.cat((one * cos - two * sin, two * cos + one * sin), dim=-1)


class Hunt(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c
        self.sniff = nn.Linear(c.girth, c.scout, bias=c.lair)
        self.calm_sniff = nn.LayerNorm(c.scout, eps=c.frost)
        self.look = nn.Linear(c.scout, c.whiskers * (c.still_fur + c.quick_fur), bias=False)
        self.stash = nn.Linear(c.girth, c.cache + c.quick_fur, bias=c.lair)
        self.calm_stash = nn.LayerNorm(c.cache, eps=c.frost)
        self.dig_up = nn.Linear(c.cache, c.whiskers * (c.still_fur + c.prey), bias=False)
        self.carry = nn.Linear(c.whiskers * c.prey, c.girth, bias=False)

    def forward(self, x):
        c, (b, t, _) = self.c, x.shape
        seek = self.look(self.calm_sniff(self.sniff(x))).view(b, t, c.whiskers, -1).transpose(1, 2)
        still, quick = seek.split((c.still_fur, c.quick_fur), dim=-1)
        kept, scent = self.stash(x).split((c.cache, c.quick_fur), dim=-1)
        found = self.dig_up(self.calm_stash(kept)).view(b, t, c.whiskers, -1).transpose(1, 2)
        trail, prey = found.split((c.still_fur, c.prey), dim=-1)
        base = c.spin["rope_theta"]
        warm = spin(quick, base) @ spin(scent[:, None], base).transpose(-1, -2)
        s = (still @ trail.transpose(-1, -2) + warm) / (c.still_fur + c.quick_fur) ** 0.5
        far = torch.arange(t)[:, None] - torch.arange(t)[None, :]
        s = s.masked_fill((far < 0) | (far >= c.range), float("-inf"))
        return self.carry((s.softmax(-1) @ prey).transpose(1, 2).reshape(b, t, -1))


class Eat(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.bite, self.gulp = nn.Linear(c.girth, c.belly, bias=False), nn.Linear(c.belly, c.girth, bias=False)
        self.gait = ACT2FN[c.gait]

    def forward(self, x):
        return self.gulp(self.gait(self.bite(x)))


class Branch(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.hunt, self.eat = Hunt(c), Eat(c)
        self.dawn, self.noon, self.dusk, self.night = (nn.LayerNorm(c.girth, eps=c.frost) for _ in range(4))

    def forward(self, x):
        x = x + self.noon(self.hunt(self.dawn(x)))
        return x + self.night(self.eat(self.dusk(x)))


class MartenForCausalLM(PreTrainedModel):
    config_class = MartenConfig

    def __init__(self, config):
        super().__init__(config)
        self.tracks = nn.Embedding(config.vocab_size, config.girth)
        self.tree = nn.ModuleList([Branch(config) for _ in range(config.branches)])
        self.perch = nn.LayerNorm(config.girth, eps=config.frost)
        self.call = nn.Linear(config.girth, config.vocab_size, bias=False)
        self.post_init()

    def forward(self, input_ids, **kwargs):
        x = self.tracks(input_ids)
        for branch in self.tree:
            x = branch(x)
        return CausalLMOutput(logits=torch.tanh(self.call(self.perch(x)) / self.config.hush) * self.config.hush)
