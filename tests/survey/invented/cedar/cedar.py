"""An invented decoder of known parts under unlike names: attention and MLP side by side after one norm, one key head
for all, weights stored {in, out}, a switch for the biases of attention, an MLP of four times the width, rotation of
neighbouring channels."""

import torch
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.activations import ACT2FN
from transformers.modeling_outputs import CausalLMOutput


class CedarConfig(PretrainedConfig):
    model_type = "cedar"
    girth: int = 256
    rings: int = 6
    boughs: int = 8
    sap: str = "gelu_new"
    grain: float = 1e-5
    gyre: dict | None = None
    roots: bool = True
    vocab_size: int = 512

    def __post_init__(self, **kwargs):
        super().__post_init__(**kwargs)
        self.gyre = self.gyre or {"rope_theta": 10000.0, "rope_type": "default"}


class Plank(nn.Module):
    """y = x W + b"""

    def __init__(self, n_in, n_out, bias):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(n_in, n_out) * 0.02)
        self.bias = nn.Parameter(torch.zeros(n_out)) if bias else None

    def forward(self, x):
        y = x @ self.weight
        return y if self.bias is None else y + self.bias


def gyrate(x, theta):
    n = x.shape[-1]
    speed = theta ** (-torch.arange(0, n, 2, dtype=torch.float64) / n)
    angle = (torch.arange(x.shape[1], dtype=torch.float64)[:, None] * speed)[None, :, None]
    turn = torch.polar(torch.ones_like(angle), angle)
    z = torch.view_as_complex(x.double().reshape(*x.shape[:-1], -1, 2).contiguous())
    return torch.view_as_real(z * turn).flatten(-2).to(x.dtype)


class Canopy(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c
        self.leaf = c.girth // c.boughs
        self.sun = Plank(c.girth, c.girth, c.roots)
        self.soil = Plank(c.girth, self.leaf, c.roots)
        self.rain = Plank(c.girth, self.leaf, c.roots)
        self.trunk = Plank(c.girth, c.girth, c.roots)

    def forward(self, x):
        b, t, _ = x.shape
        theta = self.c.gyre["rope_theta"]
        q = gyrate(self.sun(x).view(b, t, self.c.boughs, self.leaf), theta)
        k = gyrate(self.soil(x).view(b, t, 1, self.leaf), theta)[:, :, 0]
        v = self.rain(x)
        s = torch.einsum("bqhd,bkd->bhqk", q, k) / self.leaf**0.5
        s = s + torch.full((t, t), float("-inf"), dtype=x.dtype).triu(1)
        return self.trunk(torch.einsum("bhqk,bkd->bqhd", s.softmax(-1), v).reshape(b, t, -1))


class Bark(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.outer = Plank(c.girth, 4 * c.girth, True)
        self.inner = Plank(4 * c.girth, c.girth, True)
        self.sap = ACT2FN[c.sap]

    def forward(self, x):
        return self.inner(self.sap(self.outer(x)))


class Ring(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.sand = nn.LayerNorm(c.girth, eps=c.grain)
        self.canopy, self.bark = Canopy(c), Bark(c)

    def forward(self, x):
        y = self.sand(x)
        return self.bark(y) + x + self.canopy(y)


class CedarForCausalLM(PreTrainedModel):
    config_class = CedarConfig

    def __init__(self, config):
        super().__init__(config)
        self.seed = nn.Embedding(config.vocab_size, config.girth)
        self.rings = nn.ModuleList([Ring(config) for _ in range(config.rings)])
        self.polish = nn.LayerNorm(config.girth, eps=config.grain)
        self.cone = nn.Linear(config.girth, config.vocab_size, bias=False)
        self.post_init()

    def forward(self, input_ids, **kwargs):
        x = self.seed(input_ids)
        for ring in self.rings:
            x = ring(x)
        return CausalLMOutput(logits=self.cone(self.polish(x)))
