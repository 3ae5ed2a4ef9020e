"""The activations that an experiment tries."""

from typing import Any


def known_activations() -> dict[str, Any]:
    """Every activation without parameters that transformers names, and that the runtime has too."""
    from transformers.activations import ACT2FN

    from levgen.scaffold.parts import load_part

    spec = next(s for s in load_part("mlp").hyperparameters if s.name == "activation")
    return {name: ACT2FN[name] for name in spec.choices if name in ACT2FN}
