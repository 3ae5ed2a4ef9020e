"""An invented decoder whose layers are a recurrence and nothing else: no attention, and no MLP.

What it decays by comes out of the same map as what it keeps: a size that is a sum.
"""

import torch
from torch import nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput


class BrambleConfig(PretrainedConfig):
    model_type = "bramble"
    cane: int = 256
    canes: int = 6
    prickles: int = 12
    roots: int = 9
    thorn: float = 1e-6
    vocab_size: int = 512


class Trail(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.prickles, self.roots = c.prickles, c.roots
        self.tip = nn.Linear(c.cane, c.prickles + 2 * c.roots, bias=False)
        self.berry = nn.Linear(c.roots, c.cane, bias=False)
        self.decay = nn.Linear(c.prickles, c.roots)
        self.sweet = nn.Parameter(torch.ones(c.roots))

    def forward(self, x):
        fades, kept, gate = self.tip(x).split([self.prickles, self.roots, self.roots], dim=-1)
        share = self.decay(fades).sigmoid()
        state, states = torch.zeros_like(kept[:, 0]), []
        for t in range(x.shape[1]):
            state = share[:, t] * state + (1 - share[:, t]) * kept[:, t]
            states.append(state)
        return self.berry(torch.stack(states, 1) * torch.tanh(gate) * self.sweet)


class Cane(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.bark, self.trail = nn.RMSNorm(c.cane, eps=c.thorn), Trail(c)

    def forward(self, x):
        return x + self.trail(self.bark(x))


class BrambleForCausalLM(PreTrainedModel):
    config_class = BrambleConfig

    def __init__(self, config):
        super().__init__(config)
        self.soil = nn.Embedding(config.vocab_size, config.cane)
        self.thicket = nn.ModuleList([Cane(config) for _ in range(config.canes)])
        self.bloom = nn.RMSNorm(config.cane, eps=config.thorn)
        self.fruit = nn.Linear(config.cane, config.vocab_size, bias=False)
        self.post_init()

    def forward(self, input_ids, **kwargs):
        x = self.soil(input_ids)
        for cane in self.thicket:
            x = cane(x)
        return CausalLMOutput(logits=self.fruit(self.bloom(x)))
