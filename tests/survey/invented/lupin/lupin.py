"""An invented mixture of experts under unlike names, with a plain MLP beside it that is no part of its module: a layer
adds the two, and what they give has a factor."""

import torch
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.activations import ACT2FN
from transformers.modeling_outputs import CausalLMOutput


class LupinConfig(PretrainedConfig):
    model_type = "lupin"
    girth: int = 256
    whorls: int = 6
    eyes: int = 8
    petals: int = 16
    petal_girth: int = 320
    opened: int = 4
    stem_girth: int = 480
    bend: str = "gelu"
    dew: float = 1.0
    floor: float = 1e-5
    vocab_size: int = 512


class Sway(nn.Module):
    """Attention without positions."""

    def __init__(self, c):
        super().__init__()
        self.eyes = c.eyes
        self.near, self.far, self.found, self.home = (nn.Linear(c.girth, c.girth, bias=False) for _ in range(4))

    def forward(self, x):
        b, t, n = x.shape
        q, k, v = (p(x).view(b, t, self.eyes, -1).transpose(1, 2) for p in (self.near, self.far, self.found))
        s = q @ k.transpose(-1, -2) / (n // self.eyes) ** 0.5
        s = s.masked_fill(torch.ones(t, t, dtype=torch.bool).triu(1), float("-inf"))
        return self.home((s.softmax(-1) @ v).transpose(1, 2).reshape(b, t, n))


class Petal(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.tint = nn.Linear(c.girth, c.petal_girth, bias=False)
        self.vein = nn.Linear(c.girth, c.petal_girth, bias=False)
        self.fold = nn.Linear(c.petal_girth, c.girth, bias=False)
        self.bend = ACT2FN[c.bend]

    def forward(self, x):
        return self.fold(self.bend(self.tint(x)) * self.vein(x))


class Spike(nn.Module):
    """A token goes to some of the petals."""

    def __init__(self, c):
        super().__init__()
        self.sun = nn.Linear(c.girth, c.petals, bias=False)
        self.bloom = nn.ModuleList([Petal(c) for _ in range(c.petals)])
        self.opened = c.opened

    def forward(self, x):
        light = self.sun(x).softmax(-1)
        most, chosen = light.topk(self.opened, dim=-1)
        out = torch.zeros_like(x)
        for number, petal in enumerate(self.bloom):
            out = out + (most * (chosen == number)).sum(-1, keepdim=True) * petal(x)
        return out


class Stem(nn.Module):
    """Every token passes through it."""

    def __init__(self, c):
        super().__init__()
        self.rise = nn.Linear(c.girth, c.stem_girth, bias=False)
        self.fall = nn.Linear(c.stem_girth, c.girth, bias=False)
        self.bend = ACT2FN[c.bend]

    def forward(self, x):
        return self.fall(self.bend(self.rise(x)))


class Whorl(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.lower, self.upper = (nn.LayerNorm(c.girth, eps=c.floor) for _ in range(2))
        self.sway, self.spike, self.stem = Sway(c), Spike(c), Stem(c)
        self.dew = c.dew

    def forward(self, x):
        x = x + self.dew * self.sway(self.lower(x))
        y = self.upper(x)
        return x + self.dew * (self.stem(y) + self.spike(y))


class LupinForCausalLM(PreTrainedModel):
    config_class = LupinConfig

    def __init__(self, config):
        super().__init__(config)
        self.seeds = nn.Embedding(config.vocab_size, config.girth)
        self.stalk = nn.ModuleList([Whorl(config) for _ in range(config.whorls)])
        self.crown = nn.LayerNorm(config.girth, eps=config.floor)
        self.scatter = nn.Linear(config.girth, config.vocab_size, bias=False)
        self.post_init()

    def forward(self, input_ids, **kwargs):
        x = self.seeds(input_ids)
        for whorl in self.stalk:
            x = whorl(x)
        return CausalLMOutput(logits=self.scatter(self.crown(x)))
