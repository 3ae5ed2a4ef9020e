"""An invented decoder of known parts under unlike names: positions are divided by a factor before they turn, a plain
MLP with the square of a ReLU beside an attention with a norm over each head, and a head that is no module but a product
with the embedding."""

import torch
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.activations import ACT2FN
from transformers.modeling_outputs import CausalLMOutput


class SedgeConfig(PretrainedConfig):
    model_type = "sedge"
    marsh: int = 256
    tufts: int = 6
    blades: int = 8
    shoots: int = 4
    culm: int = 640
    rustle: str = "relu2"
    silt: float = 1e-6
    eddy: dict | None = None
    vocab_size: int = 512

    def __post_init__(self, **kwargs):
        super().__post_init__(**kwargs)
        self.eddy = self.eddy or {"rope_theta": 10000.0, "rope_type": "linear", "factor": 4.0}


def turn(x, eddy):
    half = x.shape[-1] // 2
    speed = eddy["rope_theta"] ** (-torch.arange(half, dtype=torch.float64) / half) / eddy["factor"]
    angle = torch.arange(x.shape[2], dtype=torch.float64)[:, None] * speed
    cos, sin = angle.cos().to(x.dtype), angle.sin().to(x.dtype)
    a, b = x.split(half, dim=-1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)


class Sway(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c, self.wide = c, c.marsh // c.blades
        self.lean = nn.Linear(c.marsh, c.blades * self.wide, bias=False)
        self.stand = nn.Linear(c.marsh, c.shoots * self.wide, bias=False)
        self.seed = nn.Linear(c.marsh, c.shoots * self.wide, bias=False)
        self.sow = nn.Linear(c.blades * self.wide, c.marsh, bias=False)
        self.still_lean = nn.RMSNorm(self.wide, eps=c.silt)
        self.still_stand = nn.RMSNorm(self.wide, eps=c.silt)

    def forward(self, x):
        b, t, _ = x.shape
        q, k, v = (p(x).view(b, t, -1, self.wide) for p in (self.lean, self.stand, self.seed))
        q, k, v = (y.transpose(1, 2) for y in (self.still_lean(q), self.still_stand(k), v))
        q, k = turn(q, self.c.eddy), turn(k, self.c.eddy)
        k, v = (y.repeat_interleave(q.shape[1] // y.shape[1], dim=1) for y in (k, v))
        s = q @ k.mT / self.wide**0.5
        s = s.masked_fill(torch.ones(t, t, dtype=torch.bool).triu(1), float("-inf"))
        return self.sow((s.softmax(-1) @ v).transpose(1, 2).reshape(b, t, -1))


class Culm(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.grow = nn.Linear(c.marsh, c.culm, bias=False)
        self.wilt = nn.Linear(c.culm, c.marsh, bias=False)
        self.rustle = ACT2FN[c.rustle]

    def forward(self, x):
        return self.wilt(self.rustle(self.grow(x)))


class Tuft(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.damp, self.wet = nn.RMSNorm(c.marsh, eps=c.silt), nn.RMSNorm(c.marsh, eps=c.silt)
        self.sway, self.culm = Sway(c), Culm(c)

    def forward(self, x):
        return x + self.sway(self.damp(x)) + self.culm(self.wet(x))


class SedgeForCausalLM(PreTrainedModel):
    config_class = SedgeConfig

    def __init__(self, config):
        super().__init__(config)
        self.mud = nn.Embedding(config.vocab_size, config.marsh)
        self.bed = nn.ModuleList([Tuft(config) for _ in range(config.tufts)])
        self.rim = nn.RMSNorm(config.marsh, eps=config.silt)
        self.post_init()

    def forward(self, input_ids, **kwargs):
        x = self.mud(input_ids)
        for tuft in self.bed:
            x = tuft(x)
        return CausalLMOutput(logits=nn.functional.linear(self.rim(x), self.mud.weight))
