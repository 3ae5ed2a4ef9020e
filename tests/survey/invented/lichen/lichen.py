"""An invented decoder of known parts under unlike names: layers with a window turn by another theta than those
without, attention and MLP side by side with a norm each, one matrix for queries, keys and values of grouped
heads, gate and up in one matrix, a head that is the embedding."""

import torch
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.activations import ACT2FN
from transformers.modeling_outputs import CausalLMOutput


class LichenConfig(PretrainedConfig):
    model_type = "lichen"
    crust: int = 256
    growths: int = 6
    cups: int = 8
    lobes: int = 2
    cortex: int = 640
    hue: str = "gelu_pytorch_tanh"
    grit: float = 1e-6
    nearby: int = 64
    faces: list[str] | None = None
    bends: dict | None = None
    vocab_size: int = 512

    def __post_init__(self, **kwargs):
        super().__post_init__(**kwargs)
        if self.faces is None:
            self.faces = ["full_attention" if i % 2 else "sliding_attention" for i in range(self.growths)]
        self.bends = self.bends or {
            "full_attention": {"rope_theta": 1000000.0, "rope_type": "default"},
            "sliding_attention": {"rope_theta": 10000.0, "rope_type": "default"},
        }


def bend(x, theta):
    half = x.shape[-1] // 2
    speed = theta ** (-torch.arange(half, dtype=torch.float64) / half)
    angle = torch.arange(x.shape[2], dtype=torch.float64)[:, None] * speed
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    a, b = x[..., :half], x[..., half:]
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)


class Hold(nn.Module):
    def __init__(self, c, face):
        super().__init__()
        self.wide = c.crust // c.cups
        self.sizes = [c.cups * self.wide, c.lobes * self.wide, c.lobes * self.wide]
        self.theta = c.bends[face]["rope_theta"]
        self.near = c.nearby if face == "sliding_attention" else None
        self.grip = nn.Linear(c.crust, sum(self.sizes), bias=False)
        self.rock = nn.Linear(c.cups * self.wide, c.crust, bias=False)

    def forward(self, x):
        b, t, _ = x.shape
        q, k, v = (y.view(b, t, -1, self.wide).transpose(1, 2) for y in self.grip(x).split(self.sizes, dim=-1))
        q, k = bend(q, self.theta), bend(k, self.theta)
        k, v = (y.repeat_interleave(q.shape[1] // y.shape[1], dim=1) for y in (k, v))
        seen = torch.ones(t, t, dtype=torch.bool).tril()
        if self.near is not None:
            seen = seen.triu(1 - self.near)
        s = (q @ k.mT / self.wide**0.5).masked_fill(~seen, float("-inf"))
        return self.rock((s.softmax(-1) @ v).transpose(1, 2).reshape(b, t, -1))


class Cortex(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.spread = nn.Linear(c.crust, 2 * c.cortex, bias=False)
        self.knit = nn.Linear(c.cortex, c.crust, bias=False)
        self.hue = ACT2FN[c.hue]

    def forward(self, x):
        gate, up = self.spread(x).chunk(2, dim=-1)
        return self.knit(up * self.hue(gate))


class Growth(nn.Module):
    def __init__(self, c, face):
        super().__init__()
        self.rain, self.shade = nn.RMSNorm(c.crust, eps=c.grit), nn.RMSNorm(c.crust, eps=c.grit)
        self.hold, self.cortex = Hold(c, face), Cortex(c)

    def forward(self, x):
        return x + self.cortex(self.shade(x)) + self.hold(self.rain(x))


class LichenForCausalLM(PreTrainedModel):
    config_class = LichenConfig

    def __init__(self, config):
        super().__init__(config)
        self.stone = nn.Embedding(config.vocab_size, config.crust)
        self.patches = nn.ModuleList([Growth(config, config.faces[i]) for i in range(config.growths)])
        self.frost = nn.RMSNorm(config.crust, eps=config.grit)
        self.sky = nn.Linear(config.crust, config.vocab_size, bias=False)
        self.sky.weight = self.stone.weight
        self.post_init()

    def forward(self, input_ids, **kwargs):
        x = self.stone(input_ids)
        for growth in self.patches:
            x = growth(x)
        return CausalLMOutput(logits=self.sky(self.frost(x)))
