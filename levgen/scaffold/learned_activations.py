"""Activations that are modules of the runtime, since they have parameters of their own."""

from dataclasses import dataclass


@dataclass(frozen=True)
class LearnedActivation:
    """`class_name`: in the runtime. `buffers`: fields that are stored and not learned. `numbers`: all that it holds."""

    class_name: str
    buffers: tuple[str, ...]
    numbers: int


# By the answer `mlp.activation`.
LEARNED_ACTIVATIONS = {"xielu": LearnedActivation("XIelu", ("beta_bias", "eps_bias"), 4)}
