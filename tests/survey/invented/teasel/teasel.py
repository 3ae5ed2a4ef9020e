"""An invented decoder of two kinds of layers: a list says which have attention, and which a running mean."""

import torch
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.activations import ACT2FN
from transformers.modeling_outputs import CausalLMOutput


class TeaselConfig(PretrainedConfig):
    model_type = "teasel"

    def __init__(
        self,
        stalk=256,
        nodes=6,
        combs=8,
        seed=640,
        spines=24,
        bristle="silu",
        hook=1e-6,
        row=("linear_attention", "linear_attention", "full_attention") * 2,
        vocab_size=512,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.stalk, self.nodes, self.combs, self.seed, self.spines = stalk, nodes, combs, seed, spines
        self.bristle, self.hook, self.row, self.vocab_size = bristle, hook, list(row), vocab_size


class Comb(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.wide = c.stalk // c.combs
        self.ask, self.tell, self.give = (nn.Linear(c.stalk, c.stalk, bias=False) for _ in range(3))
        self.lay = nn.Linear(c.stalk, c.stalk, bias=False)

    def forward(self, x):
        b, t, _ = x.shape
        q, k, v = (p(x).view(b, t, -1, self.wide).transpose(1, 2) for p in (self.ask, self.tell, self.give))
        s = q @ k.mT / self.wide**0.5
        s = s.masked_fill(torch.ones(t, t, dtype=torch.bool).triu(1), float("-inf"))
        return self.lay((s.softmax(-1) @ v).transpose(1, 2).reshape(b, t, -1))


class Spine(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.dip = nn.Linear(c.stalk, 2 * c.spines, bias=False)
        self.rise = nn.Linear(c.spines, c.stalk, bias=False)

    def forward(self, x):
        kept, gate = self.dip(x).chunk(2, dim=-1)
        mean = kept.cumsum(1) / torch.arange(1, x.shape[1] + 1, dtype=x.dtype)[None, :, None]
        return self.rise(mean * torch.tanh(gate))


class Seed(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.husk = nn.Linear(c.stalk, c.seed, bias=False)
        self.germ = nn.Linear(c.seed, c.stalk, bias=False)
        self.bristle = ACT2FN[c.bristle]

    def forward(self, x):
        return self.germ(self.bristle(self.husk(x)))


class Node(nn.Module):
    def __init__(self, c, kind):
        super().__init__()
        self.wet, self.dry = nn.RMSNorm(c.stalk, eps=c.hook), nn.RMSNorm(c.stalk, eps=c.hook)
        if kind == "full_attention":
            self.comb = Comb(c)
        else:
            self.spine = Spine(c)
        self.kind, self.ripe = kind, Seed(c)

    def forward(self, x):
        mix = self.comb if self.kind == "full_attention" else self.spine
        x = x + mix(self.wet(x))
        return x + self.ripe(self.dry(x))


class TeaselForCausalLM(PreTrainedModel):
    config_class = TeaselConfig

    def __init__(self, config):
        super().__init__(config)
        self.soil = nn.Embedding(config.vocab_size, config.stalk)
        self.stem = nn.ModuleList([Node(config, kind) for kind in config.row[: config.nodes]])
        self.crown = nn.RMSNorm(config.stalk, eps=config.hook)
        self.pollen = nn.Linear(config.stalk, config.vocab_size, bias=False)
        self.post_init()

    def forward(self, input_ids, **kwargs):
        x = self.soil(input_ids)
        for node in self.stem:
            x = node(x)
        return CausalLMOutput(logits=self.pollen(self.crown(x)))
