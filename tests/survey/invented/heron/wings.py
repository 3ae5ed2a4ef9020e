"""An invented decoder of known parts under unlike names: norms on what blocks put out, half of each head rotates, a
norm over all queries and all keys at once, soft caps on scores and on logits, heads wider than the model over them."""

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.activations import ACT2FN
from transformers.modeling_outputs import CausalLMOutput

from .plumage import HeronConfig


class Preen(nn.Module):
    def __init__(self, size, calm):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.calm = calm

    def forward(self, x):
        return self.weight * x * (x.square().mean(-1, keepdim=True) + self.calm).rsqrt()


def wheel(x, turns):
    """x [batch, heads, time, width]: the first part of the channels turns, i with i + half of that part."""
    part = int(x.shape[-1] * turns["partial_rotary_factor"])
    speed = turns["rope_theta"] ** (-torch.arange(0, part, 2, dtype=torch.float64) / part)
    angle = torch.outer(torch.arange(x.shape[-2], dtype=torch.float64), speed)
    cos, sin = torch.cos(angle).to(x.dtype), torch.sin(angle).to(x.dtype)
    a, b, rest = x[..., : part // 2], x[..., part // 2 : part], x[..., part:]
    return torch.cat((a * cos - b * sin, b * cos + a * sin, rest), dim=-1)


class Watch(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c
        self.seek = nn.Linear(c.span, c.eyes * c.vane, bias=False)
        self.spot = nn.Linear(c.span, c.paired_eyes * c.vane, bias=False)
        self.fish = nn.Linear(c.span, c.paired_eyes * c.vane, bias=False)
        self.bring = nn.Linear(c.eyes * c.vane, c.span, bias=False)
        self.preen_seek = Preen(c.eyes * c.vane, c.calm)
        self.preen_spot = Preen(c.paired_eyes * c.vane, c.calm)

    def forward(self, x):
        b, t, _ = x.shape
        q, k, v = self.preen_seek(self.seek(x)), self.preen_spot(self.spot(x)), self.fish(x)
        q, k, v = (y.view(b, t, -1, self.c.vane).transpose(1, 2) for y in (q, k, v))
        q, k = wheel(q, self.c.turns), wheel(k, self.c.turns)
        k, v = (y.repeat_interleave(self.c.eyes // self.c.paired_eyes, dim=1) for y in (k, v))
        s = q @ k.mT * self.c.vane**-0.5
        s = self.c.glare * torch.tanh(s / self.c.glare)
        s = s.masked_fill(~torch.ones(t, t, dtype=torch.bool).tril(), torch.finfo(x.dtype).min)
        return self.bring((s.softmax(-1) @ v).transpose(1, 2).flatten(2))


class Swallow(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.gape = nn.Linear(c.span, c.crop, bias=False)
        self.take = nn.Linear(c.span, c.crop, bias=False)
        self.keep = nn.Linear(c.crop, c.span, bias=False)
        self.glide = ACT2FN[c.glide]

    def forward(self, x):
        return self.keep(self.glide(self.gape(x)) * self.take(x))


class Perch(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.watch, self.swallow = Watch(c), Swallow(c)
        self.shake, self.settle = Preen(c.span, c.calm), Preen(c.span, c.calm)

    def forward(self, x):
        x = x + self.shake(self.watch(x))
        return x + self.settle(self.swallow(x))


class HeronForCausalLM(PreTrainedModel):
    config_class = HeronConfig

    def __init__(self, config):
        super().__init__(config)
        self.reeds = nn.Embedding(config.vocab_size, config.span)
        self.rookery = nn.ModuleList([Perch(config) for _ in range(config.perches)])
        self.last = Preen(config.span, config.calm)
        self.call = nn.Linear(config.span, config.vocab_size, bias=False)
        self.post_init()

    def forward(self, input_ids, **kwargs):
        x = self.reeds(input_ids)
        for perch in self.rookery:
            x = perch(x)
        loud = self.call(self.last(x))
        return CausalLMOutput(logits=torch.tanh(loud / self.config.murmur) * self.config.murmur)
