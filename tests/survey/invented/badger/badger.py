"""An invented decoder of known parts under unlike names: no positions at all but a window in every layer, norms without
parameters on what blocks put out, factors on what blocks add and on the logits, one activation whatever the config
says, a head that may be the embedding."""

import torch
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput


class BadgerConfig(PretrainedConfig):
    model_type = "badger"
    attribute_map = {"tie_word_embeddings": "twin"}  # noqa: RUF012
    burrow: int = 256
    chambers: int = 6
    claws: int = 8
    toes: int = 2
    den: int = 640
    gloom: float = 1e-5
    earshot: int = 96
    weary: float = 0.5
    loud: float = 0.25
    twin: bool = True
    vocab_size: int = 512


class Level(nn.Module):
    """A root mean square norm with nothing to learn."""

    def __init__(self, gloom):
        super().__init__()
        self.gloom = gloom

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.gloom)


class Dig(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c, self.wide = c, c.burrow // c.claws
        self.nose = nn.Linear(c.burrow, c.claws * self.wide, bias=False)
        self.ear = nn.Linear(c.burrow, c.toes * self.wide, bias=False)
        self.paw = nn.Linear(c.burrow, c.toes * self.wide, bias=False)
        self.heap = nn.Linear(c.claws * self.wide, c.burrow, bias=False)

    def forward(self, x):
        b, t, _ = x.shape
        q, k, v = (p(x).view(b, t, -1, self.wide).transpose(1, 2) for p in (self.nose, self.ear, self.paw))
        k, v = (y.repeat_interleave(q.shape[1] // y.shape[1], dim=1) for y in (k, v))
        far = torch.arange(t)[:, None] - torch.arange(t)[None, :]
        s = (q @ k.transpose(-1, -2)) * self.wide**-0.5
        s = s.masked_fill((far < 0) | (far >= self.c.earshot), float("-inf"))
        return self.heap((s.softmax(-1) @ v).transpose(1, 2).reshape(b, t, -1))


class Sleep(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.dream = nn.Linear(c.burrow, 2 * c.den, bias=False)
        self.wake = nn.Linear(c.den, c.burrow, bias=False)

    def forward(self, x):
        drift, hold = self.dream(x).chunk(2, dim=-1)
        return self.wake(nn.functional.gelu(drift, approximate="tanh") * hold)


class Chamber(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.dig, self.sleep = Dig(c), Sleep(c)
        self.level_one, self.level_two = Level(c.gloom), Level(c.gloom)
        self.weary = c.weary

    def forward(self, x):
        x = x + self.weary * self.level_one(self.dig(x))
        return x + self.level_two(self.sleep(x)) * self.weary


class BadgerForCausalLM(PreTrainedModel):
    config_class = BadgerConfig
    _tied_weights_keys = {"growl.weight": "sett.weight"}  # noqa: RUF012

    def __init__(self, config):
        super().__init__(config)
        self.sett = nn.Embedding(config.vocab_size, config.burrow)
        self.tunnel = nn.ModuleList([Chamber(config) for _ in range(config.chambers)])
        self.mouth = Level(config.gloom)
        self.growl = nn.Linear(config.burrow, config.vocab_size, bias=False)
        if config.twin:
            self.growl.weight = self.sett.weight
        self.post_init()

    def forward(self, input_ids, **kwargs):
        x = self.sett(input_ids)
        for chamber in self.tunnel:
            x = chamber(x)
        return CausalLMOutput(logits=self.growl(self.mouth(x)) * self.config.loud)
