"""An invented decoder of known parts under unlike names: layers with a window rotate and the others know no positions,
queries and keys are normed after the rotation, values are normed before the output projection, layer norms without
a bias."""

import torch
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.activations import ACT2FN
from transformers.modeling_outputs import CausalLMOutput


class OtterConfig(PretrainedConfig):
    model_type = "otter"
    river: int = 256
    pools: int = 6
    paws: int = 8
    thumbs: int = 4
    belly: int = 640
    fur: str = "silu"
    slip: float = 1e-5
    near: int = 64
    waters: list[str] | None = None
    spin: dict | None = None
    vocab_size: int = 512

    def __post_init__(self, **kwargs):
        super().__post_init__(**kwargs)
        self.spin = self.spin or {"rope_theta": 10000.0, "rope_type": "default"}
        if self.waters is None:
            self.waters = ["full_attention" if i % 3 == 2 else "sliding_attention" for i in range(self.pools)]


def spin(x, theta):
    half = x.shape[-1] // 2
    speed = theta ** (-torch.arange(half, dtype=torch.float64) / half)
    angle = torch.arange(x.shape[2], dtype=torch.float64)[:, None] * speed
    cos, sin = (f(angle).repeat(1, 2).to(x.dtype) for f in (torch.cos, torch.sin))
    return x * cos + torch.cat((-x[..., half:], x[..., :half]), dim=-1) * sin


class Dive(nn.Module):
    def __init__(self, c, index):
        super().__init__()
        self.c, self.wide = c, c.river // c.paws
        self.windowed = c.waters[index] == "sliding_attention"
        self.grab = nn.Linear(c.river, c.paws * self.wide, bias=False)
        self.shell = nn.Linear(c.river, c.thumbs * self.wide, bias=False)
        self.meat = nn.Linear(c.river, c.thumbs * self.wide, bias=False)
        self.bank = nn.Linear(c.paws * self.wide, c.river, bias=False)
        self.sleek_grab = nn.LayerNorm(self.wide, eps=c.slip, bias=False)
        self.sleek_shell = nn.LayerNorm(self.wide, eps=c.slip, bias=False)
        self.sleek = nn.LayerNorm(c.paws * self.wide, eps=c.slip, bias=False)

    def forward(self, x):
        b, t, _ = x.shape
        q, k, v = (p(x).view(b, t, -1, self.wide).transpose(1, 2) for p in (self.grab, self.shell, self.meat))
        if self.windowed:
            q, k = spin(q, self.c.spin["rope_theta"]), spin(k, self.c.spin["rope_theta"])
        q, k = self.sleek_grab(q), self.sleek_shell(k)
        k, v = (y.repeat_interleave(q.shape[1] // y.shape[1], dim=1) for y in (k, v))
        seen = torch.ones(t, t, dtype=torch.bool).tril()
        if self.windowed:
            seen = seen.triu(1 - self.c.near)
        s = (q @ k.mT / self.wide**0.5).masked_fill(~seen, float("-inf"))
        return self.bank(self.sleek((s.softmax(-1) @ v).transpose(1, 2).reshape(b, t, -1)))


class Float(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.a = nn.Linear(c.river, c.belly, bias=False)
        self.b = nn.Linear(c.river, c.belly, bias=False)
        self.c = nn.Linear(c.belly, c.river, bias=False)
        self.fur = ACT2FN[c.fur]

    def forward(self, x):
        return self.c(self.a(x) * self.fur(self.b(x)))


class Pool(nn.Module):
    def __init__(self, c, index):
        super().__init__()
        self.one = nn.LayerNorm(c.river, eps=c.slip, bias=False)
        self.two = nn.LayerNorm(c.river, eps=c.slip, bias=False)
        self.dive, self.rest = Dive(c, index), Float(c)

    def forward(self, x):
        x = x + self.dive(self.one(x))
        return x + self.rest(self.two(x))


class OtterForCausalLM(PreTrainedModel):
    config_class = OtterConfig

    def __init__(self, config):
        super().__init__(config)
        self.spring = nn.Embedding(config.vocab_size, config.river)
        self.stream = nn.ModuleList([Pool(config, i) for i in range(config.pools)])
        self.mouth = nn.LayerNorm(config.river, eps=config.slip, bias=False)
        self.sea = nn.Linear(config.river, config.vocab_size, bias=False)
        self.post_init()

    def forward(self, input_ids, **kwargs):
        x = self.spring(input_ids)
        for pool in self.stream:
            x = pool(x)
        return CausalLMOutput(logits=self.sea(self.mouth(x)))
