"""An invented mixture of known parts that no released model puts together: a softmax over the cups that were chosen,
by a router with a bias; cups with biases, gates that are cut to a brim, and rows of gate and up in turn; and a jug that
every token goes to through a tap, with an activation of its own."""

import torch
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.activations import ACT2FN
from transformers.modeling_outputs import CausalLMOutput


class ThriftConfig(PretrainedConfig):
    model_type = "thrift"
    girth: int = 256
    tiers: int = 6
    eyes: int = 8
    kin: int = 4
    cup_girth: int = 320
    jug_girth: int = 448
    cups: int = 16
    poured: int = 4
    brim: float = 5.0
    fizz: float = 1.5
    knead: str = "gelu"
    dust: float = 1e-5
    whirl: dict | None = None
    vocab_size: int = 512

    def __post_init__(self, **kwargs):
        super().__post_init__(**kwargs)
        self.whirl = self.whirl or {"rope_theta": 3000.0, "rope_type": "default"}


class Level(nn.Module):
    def __init__(self, size, dust):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.bias = nn.Parameter(torch.zeros(size))
        self.dust = dust

    def forward(self, x):
        x = x - x.mean(-1, keepdim=True)
        return self.weight * x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.dust) + self.bias


def whirl(x, theta):
    """x [batch, heads, time, width]: pairs (i, i + width / 2) turn."""
    half = x.shape[-1] // 2
    angle = torch.arange(x.shape[2]).double()[:, None] * theta ** (-torch.arange(half).double() / half)
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    a, b = x[..., :half], x[..., half:]
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)


class Gaze(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.reach, self.theta = c.girth // c.eyes, c.whirl["rope_theta"]
        self.ask = nn.Linear(c.girth, c.eyes * self.reach)
        self.find = nn.Linear(c.girth, c.kin * self.reach)
        self.take = nn.Linear(c.girth, c.kin * self.reach)
        self.give = nn.Linear(c.eyes * self.reach, c.girth, bias=False)

    def forward(self, x):
        b, t, _ = x.shape
        q, k, v = (p(x).view(b, t, -1, self.reach).transpose(1, 2) for p in (self.ask, self.find, self.take))
        q, k = whirl(q, self.theta), whirl(k, self.theta)
        k, v = (y.repeat_interleave(q.shape[1] // k.shape[1], dim=1) for y in (k, v))
        s = q @ k.transpose(-1, -2) / self.reach**0.5
        s = s.masked_fill(torch.ones(t, t, dtype=torch.bool).triu(1), float("-inf"))
        return self.give((s.softmax(-1) @ v).transpose(1, 2).reshape(b, t, -1))


class Tray(nn.Module):
    """All cups: `malt` makes gate and up, {in, out}, `brew` goes back."""

    def __init__(self, c):
        super().__init__()
        self.malt = nn.Parameter(torch.zeros(c.cups, c.girth, 2 * c.cup_girth))
        self.malt_bias = nn.Parameter(torch.zeros(c.cups, 2 * c.cup_girth))
        self.brew = nn.Parameter(torch.zeros(c.cups, c.cup_girth, c.girth))
        self.brew_bias = nn.Parameter(torch.zeros(c.cups, c.girth))
        self.brim, self.fizz = c.brim, c.fizz

    def forward(self, x, share, chosen):
        out = torch.zeros_like(x)
        for number in range(len(self.malt)):
            both = x @ self.malt[number] + self.malt_bias[number]
            gate, up = both[..., ::2].clamp(max=self.brim), both[..., 1::2].clamp(-self.brim, self.brim)
            made = (gate * torch.sigmoid(self.fizz * gate) * (up + 1)) @ self.brew[number] + self.brew_bias[number]
            out = out + (share * (chosen == number)).sum(-1, keepdim=True) * made
        return out


class Jug(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.fill = nn.Linear(c.girth, c.jug_girth, bias=False)
        self.lid = nn.Linear(c.girth, c.jug_girth, bias=False)
        self.spout = nn.Linear(c.jug_girth, c.girth, bias=False)
        self.knead = ACT2FN[c.knead]

    def forward(self, x):
        return self.spout(self.knead(self.lid(x)) * self.fill(x))


class Table(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.hand = nn.Linear(c.girth, c.cups)
        self.tray = Tray(c)
        self.jug = Jug(c)
        self.tap = nn.Linear(c.girth, 1, bias=False)
        self.poured = c.poured

    def forward(self, x):
        best, chosen = self.hand(x).topk(self.poured, dim=-1)
        return self.tray(x, best.softmax(-1), chosen) + self.tap(x).sigmoid() * self.jug(x)


class Tier(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.before, self.between = Level(c.girth, c.dust), Level(c.girth, c.dust)
        self.gaze, self.table = Gaze(c), Table(c)

    def forward(self, x):
        x = x + self.gaze(self.before(x))
        return x + self.table(self.between(x))


class ThriftForCausalLM(PreTrainedModel):
    config_class = ThriftConfig

    def __init__(self, config):
        super().__init__(config)
        self.grains = nn.Embedding(config.vocab_size, config.girth)
        self.rack = nn.ModuleList([Tier(config) for _ in range(config.tiers)])
        self.top = Level(config.girth, config.dust)
        self.tell = nn.Linear(config.girth, config.vocab_size, bias=False)
        self.post_init()

    def forward(self, input_ids, **kwargs):
        x = self.grains(input_ids)
        for tier in self.rack:
            x = tier(x)
        return CausalLMOutput(logits=self.tell(self.top(x)))
