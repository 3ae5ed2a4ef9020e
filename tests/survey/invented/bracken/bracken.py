"""An invented decoder of known parts under unlike names: root mean square norms after each sum, of which the last
ends the stack, no positions but the order that causality gives, a norm over each head, a gated MLP whose biases a
switch brings, a factor on what blocks add."""

import torch
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.activations import ACT2FN
from transformers.modeling_outputs import CausalLMOutput


class BrackenConfig(PretrainedConfig):
    model_type = "bracken"
    acre: int = 256
    ridges: int = 6
    stags: int = 8
    fawns: int = 4
    antler: int = 40
    heath: int = 640
    rust: str = "silu"
    peat: float = 1e-6
    mild: float = 0.5
    thorny: bool = False
    vocab_size: int = 512


class Graze(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.wide = c.antler
        self.scent = nn.Linear(c.acre, c.stags * c.antler, bias=False)
        self.trail = nn.Linear(c.acre, c.fawns * c.antler, bias=False)
        self.grass = nn.Linear(c.acre, c.fawns * c.antler, bias=False)
        self.rest = nn.Linear(c.stags * c.antler, c.acre, bias=False)
        self.calm = nn.RMSNorm(c.antler, eps=c.peat)
        self.hush = nn.RMSNorm(c.antler, eps=c.peat)

    def forward(self, x):
        b, t, _ = x.shape
        q, k, v = (p(x).view(b, t, -1, self.wide) for p in (self.scent, self.trail, self.grass))
        q, k, v = (y.transpose(1, 2) for y in (self.calm(q), self.hush(k), v))
        k, v = (y.repeat_interleave(q.shape[1] // y.shape[1], dim=1) for y in (k, v))
        s = q @ k.mT * self.wide**-0.5
        s = s.masked_fill(torch.ones(t, t, dtype=torch.bool).triu(1), float("-inf"))
        return self.rest((s.softmax(-1) @ v).transpose(1, 2).reshape(b, t, -1))


class Heath(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.stalk = nn.Linear(c.acre, c.heath, bias=c.thorny)
        self.blade = nn.Linear(c.acre, c.heath, bias=c.thorny)
        self.root = nn.Linear(c.heath, c.acre, bias=c.thorny)
        self.rust = ACT2FN[c.rust]

    def forward(self, x):
        return self.root(self.rust(self.blade(x)) * self.stalk(x))


class Ridge(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.graze, self.heath = Graze(c), Heath(c)
        self.wind, self.snow = nn.RMSNorm(c.acre, eps=c.peat), nn.RMSNorm(c.acre, eps=c.peat)
        self.mild = c.mild

    def forward(self, x):
        x = self.wind(x + self.mild * self.graze(x))
        return self.snow(x + self.mild * self.heath(x))


class BrackenForCausalLM(PreTrainedModel):
    config_class = BrackenConfig

    def __init__(self, config):
        super().__init__(config)
        self.seeds = nn.Embedding(config.vocab_size, config.acre)
        self.moor = nn.ModuleList([Ridge(config) for _ in range(config.ridges)])
        self.bell = nn.Linear(config.acre, config.vocab_size, bias=False)
        self.post_init()

    def forward(self, input_ids, **kwargs):
        x = self.seeds(input_ids)
        for ridge in self.moor:
            x = ridge(x)
        return CausalLMOutput(logits=self.bell(x))
