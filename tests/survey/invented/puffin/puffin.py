"""An invented decoder of known parts under unlike names: queries, keys and values are cut to a bound, and each head has
a learned logit in the denominator of its softmax (a sink)."""

import torch
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.activations import ACT2FN
from transformers.modeling_outputs import CausalLMOutput


class PuffinConfig(PretrainedConfig):
    model_type = "puffin"
    cliff: int = 256
    ledges: int = 6
    beaks: int = 8
    chicks: int = 4
    brood: int = 640
    feather: str = "silu"
    spray: float = 1e-6
    snap: float = 4.0
    orbit: dict | None = None
    vocab_size: int = 512

    def __post_init__(self, **kwargs):
        super().__post_init__(**kwargs)
        self.orbit = self.orbit or {"rope_theta": 10000.0, "rope_type": "default"}


def orbit(x, theta):
    half = x.shape[-1] // 2
    speed = theta ** (-torch.arange(half, dtype=torch.float64) / half)
    angle = torch.arange(x.shape[2], dtype=torch.float64)[:, None] * speed
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    a, b = x[..., :half], x[..., half:]
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)


class Forage(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c, self.wide = c, c.cliff // c.beaks
        self.fly = nn.Linear(c.cliff, c.beaks * self.wide, bias=False)
        self.sea = nn.Linear(c.cliff, c.chicks * self.wide, bias=False)
        self.eel = nn.Linear(c.cliff, c.chicks * self.wide, bias=False)
        self.nest = nn.Linear(c.beaks * self.wide, c.cliff, bias=False)
        self.drown = nn.Parameter(torch.zeros(c.beaks))

    def forward(self, x):
        b, t, _ = x.shape
        q, k, v = (p(x).clamp(-self.c.snap, self.c.snap) for p in (self.fly, self.sea, self.eel))
        q, k, v = (y.view(b, t, -1, self.wide).transpose(1, 2) for y in (q, k, v))
        q, k = orbit(q, self.c.orbit["rope_theta"]), orbit(k, self.c.orbit["rope_theta"])
        k, v = (y.repeat_interleave(q.shape[1] // y.shape[1], dim=1) for y in (k, v))
        s = q @ k.mT / self.wide**0.5
        s = s.masked_fill(torch.ones(t, t, dtype=torch.bool).triu(1), float("-inf"))
        s = torch.cat((s, self.drown.view(1, -1, 1, 1).expand(b, -1, t, 1)), dim=-1).softmax(-1)[..., :-1]
        return self.nest((s @ v).transpose(1, 2).reshape(b, t, -1))


class Rear(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.egg = nn.Linear(c.cliff, c.brood, bias=False)
        self.warmth = nn.Linear(c.cliff, c.brood, bias=False)
        self.fledge = nn.Linear(c.brood, c.cliff, bias=False)
        self.feather = ACT2FN[c.feather]

    def forward(self, x):
        return self.fledge(self.egg(x) * self.feather(self.warmth(x)))


class Ledge(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.wash = nn.RMSNorm(c.cliff, eps=c.spray)
        self.rinse = nn.RMSNorm(c.cliff, eps=c.spray)
        self.forage, self.rear = Forage(c), Rear(c)

    def forward(self, x):
        x = x + self.forage(self.wash(x))
        return x + self.rear(self.rinse(x))


class PuffinForCausalLM(PreTrainedModel):
    config_class = PuffinConfig

    def __init__(self, config):
        super().__init__(config)
        self.rocks = nn.Embedding(config.vocab_size, config.cliff)
        self.colony = nn.ModuleList([Ledge(config) for _ in range(config.ledges)])
        self.horizon = nn.RMSNorm(config.cliff, eps=config.spray)
        self.cry = nn.Linear(config.cliff, config.vocab_size, bias=False)
        self.post_init()

    def forward(self, input_ids, **kwargs):
        x = self.rocks(input_ids)
        for ledge in self.colony:
            x = ledge(x)
        return CausalLMOutput(logits=self.cry(self.horizon(x)))
