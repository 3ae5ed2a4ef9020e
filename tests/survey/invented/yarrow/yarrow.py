"""An invented decoder of known parts under unlike names: scores over the root of a field, embeddings times a field and
logits over one, biases of queries, keys and values that a switch takes away, a gain of 1 + weight, a config of the
older style with an __init__ of its own."""

import torch
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.activations import ACT2FN
from transformers.modeling_outputs import CausalLMOutput


class YarrowConfig(PretrainedConfig):
    model_type = "yarrow"

    def __init__(
        self,
        stem=256,
        nodes=6,
        florets=8,
        clusters=4,
        petal=40,
        umbel=640,
        scent="gelu_pytorch_tanh",
        chill=1e-6,
        poise=144.0,
        bloom=12.0,
        fade=16.0,
        stung=True,
        whirl=None,
        vocab_size=512,
        **kwargs,
    ):
        self.stem, self.nodes, self.florets, self.clusters = stem, nodes, florets, clusters
        self.petal, self.umbel, self.scent, self.chill = petal, umbel, scent, chill
        self.poise, self.bloom, self.fade, self.stung = poise, bloom, fade, stung
        self.whirl = whirl or {"rope_theta": 500000.0, "rope_type": "default"}
        self.vocab_size = vocab_size
        super().__init__(**kwargs)


class Prune(nn.Module):
    def __init__(self, n, chill):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(n))
        self.chill = chill

    def forward(self, x):
        y = x.float() if x.dtype == torch.bfloat16 else x
        y = y * torch.rsqrt(y.pow(2).mean(-1, keepdim=True) + self.chill)
        return (y * (1.0 + self.weight)).to(x.dtype)


class Whirl(nn.Module):
    """cos and sin [time, width] for a length."""

    def __init__(self, c):
        super().__init__()
        self.half, self.theta = c.petal // 2, c.whirl["rope_theta"]

    def forward(self, x):
        speed = self.theta ** (-torch.arange(self.half, dtype=torch.float64) / self.half)
        angle = torch.outer(torch.arange(x.shape[1], dtype=torch.float64), speed)
        return torch.cat((angle, angle), -1).cos().to(x.dtype), torch.cat((angle, angle), -1).sin().to(x.dtype)


def turned(x, cos, sin):
    a, b = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-b, a), dim=-1) * sin


class Visit(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c
        self.bee = nn.Linear(c.stem, c.florets * c.petal, bias=c.stung)
        self.cup = nn.Linear(c.stem, c.clusters * c.petal, bias=c.stung)
        self.nectar = nn.Linear(c.stem, c.clusters * c.petal, bias=c.stung)
        self.hive = nn.Linear(c.florets * c.petal, c.stem, bias=False)

    def forward(self, x, table):
        b, t, _ = x.shape
        q, k, v = (p(x).view(b, t, -1, self.c.petal).transpose(1, 2) for p in (self.bee, self.cup, self.nectar))
        q, k = turned(q, *table), turned(k, *table)
        k, v = (y.repeat_interleave(q.shape[1] // y.shape[1], dim=1) for y in (k, v))
        s = q @ k.mT / self.c.poise**0.5
        s = s.masked_fill(torch.ones(t, t, dtype=torch.bool).triu(1), float("-inf"))
        return self.hive((s.softmax(-1) @ v).transpose(1, 2).reshape(b, t, -1))


class Umbel(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.open = nn.Linear(c.stem, c.umbel, bias=False)
        self.wide = nn.Linear(c.stem, c.umbel, bias=False)
        self.shut = nn.Linear(c.umbel, c.stem, bias=False)
        self.scent = ACT2FN[c.scent]

    def forward(self, x):
        return self.shut(self.scent(self.open(x)) * self.wide(x))


class Node(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.early, self.late = Prune(c.stem, c.chill), Prune(c.stem, c.chill)
        self.visit, self.umbel = Visit(c), Umbel(c)

    def forward(self, x, table):
        x = x + self.visit(self.early(x), table)
        return x + self.umbel(self.late(x))


class YarrowForCausalLM(PreTrainedModel):
    config_class = YarrowConfig

    def __init__(self, config):
        super().__init__(config)
        self.seeds = nn.Embedding(config.vocab_size, config.stem)
        self.whirl = Whirl(config)
        self.stalk = nn.ModuleList([Node(config) for _ in range(config.nodes)])
        self.tip = Prune(config.stem, config.chill)
        self.breeze = nn.Linear(config.stem, config.vocab_size, bias=False)
        self.post_init()

    def forward(self, input_ids, **kwargs):
        x = self.seeds(input_ids) * self.config.bloom
        table = self.whirl(x)
        for node in self.stalk:
            x = node(x, table)
        return CausalLMOutput(logits=self.breeze(self.tip(x)) / self.config.fade)
