"""An invented decoder of known parts under unlike names: sinusoidal positions and a norm on the embeddings, one matrix
that holds query, key and value head by head, a gated MLP with a norm inside, norms around each block, a bias on the
head."""

import math

import torch
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.activations import ACT2FN
from transformers.modeling_outputs import CausalLMOutput


class JuniperConfig(PretrainedConfig):
    model_type = "juniper"
    needle: int = 256
    tiers: int = 6
    berries: int = 8
    husk: int = 640
    zest: str = "silu"
    frost: float = 1e-5
    vocab_size: int = 512


def waves(length, width):
    """[length, width]: sines in the first half, cosines in the second."""
    half = width // 2
    speed = torch.exp(torch.arange(half, dtype=torch.float64) * -(math.log(10000.0) / (half - 1)))
    angle = torch.arange(length, dtype=torch.float64)[:, None] * speed
    return torch.cat([angle.sin(), angle.cos()], dim=1)


class Pick(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.berries = c.berries
        self.bunch = nn.Linear(c.needle, 3 * c.needle, bias=True)
        self.jar = nn.Linear(c.needle, c.needle, bias=True)

    def forward(self, x):
        b, t, n = x.shape
        q, k, v = self.bunch(x).view(b, t, self.berries, 3, n // self.berries).permute(3, 0, 2, 1, 4)
        s = q @ k.transpose(-1, -2) / (n // self.berries) ** 0.5
        s = s.masked_fill(torch.ones(t, t, dtype=torch.bool).triu(1), float("-inf"))
        return self.jar((s.softmax(-1) @ v).transpose(1, 2).reshape(b, t, n))


class Crush(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.stone = nn.Linear(c.needle, c.husk, bias=False)
        self.press = nn.Linear(c.needle, c.husk, bias=False)
        self.strain = nn.LayerNorm(c.husk, eps=c.frost)
        self.pour = nn.Linear(c.husk, c.needle, bias=False)
        self.zest = ACT2FN[c.zest]

    def forward(self, x):
        return self.pour(self.strain(self.press(x) * self.zest(self.stone(x))))


class Tier(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.cold, self.cool, self.mild, self.warm = (nn.LayerNorm(c.needle, eps=c.frost) for _ in range(4))
        self.pick, self.crush = Pick(c), Crush(c)

    def forward(self, x):
        x = x + self.warm(self.pick(self.cold(x)))
        return x + self.mild(self.crush(self.cool(x)))


class JuniperForCausalLM(PreTrainedModel):
    config_class = JuniperConfig

    def __init__(self, config):
        super().__init__(config)
        self.soil = nn.Embedding(config.vocab_size, config.needle)
        self.thaw = nn.LayerNorm(config.needle, eps=config.frost)
        self.hedge = nn.ModuleList([Tier(config) for _ in range(config.tiers)])
        self.crown = nn.LayerNorm(config.needle, eps=config.frost)
        self.scent = nn.Linear(config.needle, config.vocab_size, bias=True)
        self.post_init()

    def forward(self, input_ids, **kwargs):
        x = self.soil(input_ids)
        x = self.thaw(x + waves(x.shape[1], x.shape[2]).to(x.dtype))
        for tier in self.hedge:
            x = tier(x)
        return CausalLMOutput(logits=self.scent(self.crown(x)))
