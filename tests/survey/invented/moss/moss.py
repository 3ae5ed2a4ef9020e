"""An invented decoder of known parts under unlike names: norms around each block, slopes by distance (ALiBi) with
grouped heads, gate and up in one matrix, embeddings times the root of the width."""

import torch
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.activations import ACT2FN
from transformers.modeling_outputs import CausalLMOutput


class MossConfig(PretrainedConfig):
    model_type = "moss_bank"
    mat: int = 256
    layers_of_peat: int = 6
    stalks: int = 8
    bundles: int = 4
    depth_of_cup: int = 640
    sheen: str = "quick_gelu"
    damp: float = 1e-6
    vocab_size: int = 512


class Wring(nn.Module):
    def __init__(self, n, damp):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(n))
        self.damp = damp

    def forward(self, x):
        return self.weight * (x / torch.sqrt((x * x).mean(-1, keepdim=True) + self.damp))


def slopes(n):
    """As Press et al. give them, for any number of heads."""
    base = 2 ** (n.bit_length() - 1)
    usual = [2 ** (-8 * (i + 1) / base) for i in range(base)]
    return usual + [2 ** (-4 * (2 * i + 1) / base) for i in range(n - base)]


class Seep(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.stalks, self.bundles, self.wide = c.stalks, c.bundles, c.mat // c.stalks
        self.rise = nn.Linear(c.mat, c.stalks * self.wide, bias=False)
        self.hold = nn.Linear(c.mat, c.bundles * self.wide, bias=False)
        self.drip = nn.Linear(c.mat, c.bundles * self.wide, bias=False)
        self.pool = nn.Linear(c.stalks * self.wide, c.mat, bias=False)

    def forward(self, x):
        b, t, _ = x.shape
        q = self.rise(x).view(b, t, self.bundles, -1, self.wide)
        k, v = (p(x).view(b, t, self.bundles, self.wide) for p in (self.hold, self.drip))
        score = torch.einsum("bqgnd,bkgd->bgnqk", q, k) / self.wide**0.5
        back = torch.arange(t)[None, :] - torch.arange(t)[:, None]
        slope = torch.tensor(slopes(self.stalks), dtype=x.dtype).view(self.bundles, -1, 1, 1)
        score = (score + slope * back).masked_fill(back > 0, float("-inf"))
        return self.pool(torch.einsum("bgnqk,bkgd->bqgnd", score.softmax(-1), v).reshape(b, t, -1))


class Cup(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.brim = nn.Linear(c.mat, 2 * c.depth_of_cup, bias=False)
        self.base = nn.Linear(c.depth_of_cup, c.mat, bias=False)
        self.sheen = ACT2FN[c.sheen]

    def forward(self, x):
        first, second = self.brim(x).chunk(2, dim=-1)
        return self.base(self.sheen(first) * second)


class Peat(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.n1, self.n2, self.n3, self.n4 = (Wring(c.mat, c.damp) for _ in range(4))
        self.seep, self.cup = Seep(c), Cup(c)

    def forward(self, x):
        x = x + self.n3(self.seep(self.n1(x)))
        return x + self.n4(self.cup(self.n2(x)))


class MossForCausalLM(PreTrainedModel):
    config_class = MossConfig

    def __init__(self, config):
        super().__init__(config)
        self.dew = nn.Embedding(config.vocab_size, config.mat)
        self.bog = nn.Sequential(*[Peat(config) for _ in range(config.layers_of_peat)])
        self.top = Wring(config.mat, config.damp)
        self.spread = nn.Linear(config.mat, config.vocab_size, bias=False)
        self.post_init()

    def forward(self, input_ids, **kwargs):
        x = self.bog(self.dew(input_ids) * self.config.mat**0.5)
        return CausalLMOutput(logits=self.spread(self.top(x)))
