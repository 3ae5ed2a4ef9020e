"""An invented decoder with a mechanism that no candidate explains: the gate of the MLP sees the mean of all tokens so
far."""

import torch
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.activations import ACT2FN
from transformers.modeling_outputs import CausalLMOutput


class NettleConfig(PretrainedConfig):
    model_type = "nettle"
    patch: int = 256
    joints: int = 6
    hairs: int = 8
    leaf: int = 640
    sting: str = "silu"
    itch: float = 1e-6
    vocab_size: int = 512


class Brush(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.hairs, self.wide = c.hairs, c.patch // c.hairs
        self.touch = nn.Linear(c.patch, c.patch, bias=False)
        self.skin = nn.Linear(c.patch, c.patch, bias=False)
        self.rash = nn.Linear(c.patch, c.patch, bias=False)
        self.balm = nn.Linear(c.patch, c.patch, bias=False)

    def forward(self, x):
        b, t, _ = x.shape
        q, k, v = (p(x).view(b, t, -1, self.wide).transpose(1, 2) for p in (self.touch, self.skin, self.rash))
        s = q @ k.mT / self.wide**0.5
        s = s.masked_fill(torch.ones(t, t, dtype=torch.bool).triu(1), float("-inf"))
        return self.balm((s.softmax(-1) @ v).transpose(1, 2).reshape(b, t, -1))


class Sting(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.acid = nn.Linear(c.patch, c.leaf, bias=False)
        self.hollow = nn.Linear(c.patch, c.leaf, bias=False)
        self.point = nn.Linear(c.leaf, c.patch, bias=False)
        self.sting = ACT2FN[c.sting]

    def forward(self, x):
        gate = self.acid(x)
        so_far = gate.cumsum(1) / torch.arange(1, x.shape[1] + 1, dtype=x.dtype)[None, :, None]
        return self.point(self.hollow(x) * self.sting(so_far))


class Joint(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.wet, self.dry = nn.RMSNorm(c.patch, eps=c.itch), nn.RMSNorm(c.patch, eps=c.itch)
        self.brush, self.sting = Brush(c), Sting(c)

    def forward(self, x):
        x = x + self.brush(self.wet(x))
        return x + self.sting(self.dry(x))


class NettleForCausalLM(PreTrainedModel):
    config_class = NettleConfig

    def __init__(self, config):
        super().__init__(config)
        self.soil = nn.Embedding(config.vocab_size, config.patch)
        self.stem = nn.ModuleList([Joint(config) for _ in range(config.joints)])
        self.crown = nn.RMSNorm(config.patch, eps=config.itch)
        self.pollen = nn.Linear(config.patch, config.vocab_size, bias=False)
        self.post_init()

    def forward(self, input_ids, **kwargs):
        x = self.soil(input_ids)
        for joint in self.stem:
            x = joint(x)
        return CausalLMOutput(logits=self.pollen(self.crown(x)))
