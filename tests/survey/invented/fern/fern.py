"""An invented decoder of known parts under unlike names: a norm after each sum, learned positions that begin at row 2,
one matrix for queries, keys and values with a bias, a plain MLP, and logits under a soft cap."""

import torch
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.activations import ACT2FN
from transformers.modeling_outputs import CausalLMOutput


class FernConfig(PretrainedConfig):
    model_type = "fern"
    frond: int = 256
    whorls: int = 6
    spores: int = 8
    pinna: int = 1024
    curl: str = "relu"
    least: float = 1e-5
    reach: int = 512
    hush: float = 30.0
    vocab_size: int = 512


class Gather(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.count = c.spores
        self.all_three = nn.Linear(c.frond, 3 * c.frond)
        self.home = nn.Linear(c.frond, c.frond)

    def forward(self, x):
        b, t, n = x.shape
        asks, keeps, gives = (
            part.view(b, t, self.count, n // self.count).transpose(1, 2) for part in self.all_three(x).chunk(3, dim=-1)
        )
        later = torch.full((t, t), float("-inf"), dtype=x.dtype).triu(1)
        weight = torch.softmax(asks @ keeps.transpose(-1, -2) * (n // self.count) ** -0.5 + later, dim=-1)
        return self.home((weight @ gives).transpose(1, 2).reshape(b, t, n))


class Unfurl(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.out = nn.Linear(c.frond, c.pinna)
        self.back = nn.Linear(c.pinna, c.frond)
        self.curl = ACT2FN[c.curl]

    def forward(self, x):
        return self.back(self.curl(self.out(x)))


class Whorl(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.gather, self.unfurl = Gather(c), Unfurl(c)
        self.dew = nn.LayerNorm(c.frond, eps=c.least)
        self.mist = nn.LayerNorm(c.frond, eps=c.least)

    def forward(self, x):
        x = self.dew(x + self.gather(x))
        return self.mist(x + self.unfurl(x))


class FernForCausalLM(PreTrainedModel):
    config_class = FernConfig

    def __init__(self, config):
        super().__init__(config)
        self.what = nn.Embedding(config.vocab_size, config.frond)
        self.where = nn.Embedding(config.reach + 2, config.frond)
        self.spiral = nn.ModuleList(Whorl(config) for _ in range(config.whorls))
        self.tell = nn.Linear(config.frond, config.vocab_size, bias=False)
        self.post_init()

    def forward(self, input_ids, **kwargs):
        x = self.what(input_ids) + self.where(torch.arange(input_ids.shape[1])[None] + 2)
        for whorl in self.spiral:
            x = whorl(x)
        hush = self.config.hush
        return CausalLMOutput(logits=hush * torch.tanh(self.tell(x) / hush))
