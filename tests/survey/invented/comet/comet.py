"""An invented decoder of known parts under unlike names: one matrix that holds, key head by key head, its queries, its
key and its value; half of each head turns; a plain MLP with a norm inside; layer norms with biases around attention and
MLP; biases by a switch; embeddings normed."""

import torch
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.activations import ACT2FN
from transformers.modeling_outputs import CausalLMOutput


class CometConfig(PretrainedConfig):
    model_type = "comet"
    tail: int = 256
    orbits: int = 6
    grains: int = 8
    clumps: int = 4
    gas: int = 768
    glow: str = "gelu"
    dust: float = 1e-5
    icy: bool = True
    sweep: dict | None = None
    vocab_size: int = 512

    def __post_init__(self, **kwargs):
        super().__post_init__(**kwargs)
        self.sweep = self.sweep or {"rope_theta": 30000.0, "rope_type": "default", "partial_rotary_factor": 0.5}


def swept(x, sweep):
    part = int(x.shape[-1] * sweep.get("partial_rotary_factor", 1.0))
    speed = sweep["rope_theta"] ** (-torch.arange(0, part, 2, dtype=torch.float64) / part)
    angle = torch.arange(x.shape[2], dtype=torch.float64)[:, None] * speed
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    a, b, rest = x.split([part // 2, part // 2, x.shape[-1] - part], dim=-1)
    return torch.cat((a * cos - b * sin, a * sin + b * cos, rest), dim=-1)


class Pull(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c, self.wide, self.each = c, c.tail // c.grains, c.grains // c.clumps
        self.mass = nn.Linear(c.tail, c.clumps * (self.each + 2) * self.wide, bias=c.icy)
        self.sun = nn.Linear(c.grains * self.wide, c.tail, bias=c.icy)

    def forward(self, x):
        b, t, _ = x.shape
        parts = self.mass(x).view(b, t, self.c.clumps, self.each + 2, self.wide)
        q = parts[..., :-2, :].flatten(2, 3).transpose(1, 2)
        k, v = parts[..., -2, :].transpose(1, 2), parts[..., -1, :].transpose(1, 2)
        q, k = swept(q, self.c.sweep), swept(k, self.c.sweep)
        k, v = k.repeat_interleave(self.each, dim=1), v.repeat_interleave(self.each, dim=1)
        s = q @ k.mT / self.wide**0.5
        s = s.masked_fill(torch.ones(t, t, dtype=torch.bool).triu(1), float("-inf"))
        return self.sun((s.softmax(-1) @ v).transpose(1, 2).reshape(b, t, -1))


class Burn(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.heat = nn.Linear(c.tail, c.gas)
        self.thin = nn.LayerNorm(c.gas, eps=c.dust)
        self.cool = nn.Linear(c.gas, c.tail)
        self.glow = ACT2FN[c.glow]

    def forward(self, x):
        return self.cool(self.thin(self.glow(self.heat(x))))


class Orbit(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.near, self.far, self.in_, self.out = (nn.LayerNorm(c.tail, eps=c.dust) for _ in range(4))
        self.pull, self.burn = Pull(c), Burn(c)

    def forward(self, x):
        x = x + self.far(self.pull(self.near(x)))
        return x + self.out(self.burn(self.in_(x)))


class CometForCausalLM(PreTrainedModel):
    config_class = CometConfig

    def __init__(self, config):
        super().__init__(config)
        self.ice = nn.Embedding(config.vocab_size, config.tail)
        self.melt = nn.LayerNorm(config.tail, eps=config.dust)
        self.path = nn.ModuleList([Orbit(config) for _ in range(config.orbits)])
        self.fade = nn.LayerNorm(config.tail, eps=config.dust)
        self.night = nn.Linear(config.tail, config.vocab_size, bias=False)
        self.post_init()

    def forward(self, input_ids, **kwargs):
        x = self.melt(self.ice(input_ids))
        for orbit in self.path:
            x = orbit(x)
        return CausalLMOutput(logits=self.night(self.fade(x)))
