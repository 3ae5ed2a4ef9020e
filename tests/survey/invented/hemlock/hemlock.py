"""An invented mixture of experts with a router that levgen doesn't know: a token goes to as many as are likelier than
their even share, one to many, each with its probability."""

import torch
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.activations import ACT2FN
from transformers.modeling_outputs import CausalLMOutput


class HemlockConfig(PretrainedConfig):
    model_type = "hemlock"
    stretch: int = 256
    ledges: int = 6
    ears: int = 8
    clan: int = 4
    bud_stretch: int = 320
    buds: int = 16
    curl: str = "gelu"
    silt: float = 1e-5
    eddy: dict | None = None
    vocab_size: int = 512

    def __post_init__(self, **kwargs):
        super().__post_init__(**kwargs)
        self.eddy = self.eddy or {"rope_theta": 3000.0, "rope_type": "default"}


class Still(nn.Module):
    def __init__(self, size, silt):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.bias = nn.Parameter(torch.zeros(size))
        self.silt = silt

    def forward(self, x):
        x = x - x.mean(-1, keepdim=True)
        return self.weight * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.silt) + self.bias


def eddy(x, theta):
    """x [batch, heads, time, width]: pairs (i, i + width / 2) turn."""
    half = x.shape[-1] // 2
    angle = torch.arange(x.shape[2]).double()[:, None] * theta ** (-torch.arange(half).double() / half)
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    a, b = x[..., :half], x[..., half:]
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)


class Heed(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.reach, self.theta = c.stretch // c.ears, c.eddy["rope_theta"]
        self.ask = nn.Linear(c.stretch, c.ears * self.reach)
        self.find = nn.Linear(c.stretch, c.clan * self.reach)
        self.take = nn.Linear(c.stretch, c.clan * self.reach)
        self.give = nn.Linear(c.ears * self.reach, c.stretch, bias=False)

    def forward(self, x):
        b, t, _ = x.shape
        q, k, v = (p(x).view(b, t, -1, self.reach).transpose(1, 2) for p in (self.ask, self.find, self.take))
        q, k = eddy(q, self.theta), eddy(k, self.theta)
        k, v = (y.repeat_interleave(q.shape[1] // k.shape[1], dim=1) for y in (k, v))
        s = q @ k.transpose(-1, -2) / self.reach**0.5
        s = s.masked_fill(torch.ones(t, t, dtype=torch.bool).triu(1), float("-inf"))
        return self.give((s.softmax(-1) @ v).transpose(1, 2).reshape(b, t, -1))


class Bough(nn.Module):
    """All buds: `sap` makes gate and up, `fruit` goes back."""

    def __init__(self, c):
        super().__init__()
        self.sap = nn.Parameter(torch.zeros(c.buds, 2 * c.bud_stretch, c.stretch))
        self.fruit = nn.Parameter(torch.zeros(c.buds, c.stretch, c.bud_stretch))
        self.curl = ACT2FN[c.curl]

    def forward(self, x, share):
        out = torch.zeros_like(x)
        for number in range(len(self.sap)):
            gate, up = (x @ self.sap[number].T).chunk(2, dim=-1)
            out = out + share[..., number : number + 1] * ((self.curl(gate) * up) @ self.fruit[number].T)
        return out


class Canopy(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.sun = nn.Linear(c.stretch, c.buds, bias=False)
        self.bough = Bough(c)

    def forward(self, x):
        share = self.sun(x).softmax(-1)
        return self.bough(x, share * (share > 1 / share.shape[-1]))


class Ledge(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.before, self.between = Still(c.stretch, c.silt), Still(c.stretch, c.silt)
        self.heed, self.canopy = Heed(c), Canopy(c)

    def forward(self, x):
        x = x + self.heed(self.before(x))
        return x + self.canopy(self.between(x))


class HemlockForCausalLM(PreTrainedModel):
    config_class = HemlockConfig

    def __init__(self, config):
        super().__init__(config)
        self.seeds = nn.Embedding(config.vocab_size, config.stretch)
        self.cliff = nn.ModuleList([Ledge(config) for _ in range(config.ledges)])
        self.top = Still(config.stretch, config.silt)
        self.sing = nn.Linear(config.stretch, config.vocab_size, bias=False)
        self.post_init()

    def forward(self, input_ids, **kwargs):
        x = self.seeds(input_ids)
        for ledge in self.cliff:
            x = ledge(x)
        return CausalLMOutput(logits=self.sing(self.top(x)))
