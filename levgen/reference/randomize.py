"""Random weights that depend on a tensor's name only, so that two configs of one model can be compared."""

import zlib
from typing import Any


def randomized(model: Any, *, std: float = 0.2, seed: int = 0) -> Any:
    """`model` in eval mode with every parameter and every stored float buffer random.

    A tensor's values depend on its name, its shape and `seed`: Normal(0, std), around 1 where it is constantly 1 (a
    gain). A buffer that is one number is a constant of a formula: it is multiplied by one around 1. Tied tensors stay
    tied. A fresh model hides what it is: its biases are 0, its gains 1.
    """
    import torch

    stored = set(model.state_dict())
    tensors = [*model.named_parameters(), *((n, b) for n, b in model.named_buffers() if n in stored)]
    with torch.no_grad():
        for name, tensor in tensors:
            if not tensor.is_floating_point() or name.endswith("inv_freq"):
                continue
            generator = torch.Generator().manual_seed(zlib.crc32(name.encode()) + seed)
            around = 1.0 if bool((tensor == 1.0).all()) else 0.0
            noise = torch.randn(tensor.shape, generator=generator, dtype=torch.float64)
            is_constant = tensor.dim() == 0 and not tensor.requires_grad
            tensor.copy_(tensor * (1 + std * noise) if is_constant else around + std * noise)
    return model.eval()


def build(
    found: Any, config: Any, *, dtype: str = "float64", random: bool = True, std: float = 0.2, plugs: Any = None
) -> Any:
    """The reference of `config` on CPU, eager, in `dtype`; randomised with `std`, or with the weights it draws.

    `plugs`: fills some modules' places, before weights are drawn.
    """
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    config._attn_implementation = "eager"
    config.use_cache = False
    model = found.model_class(config)
    if hasattr(model, "set_attn_implementation"):
        model.set_attn_implementation("eager")
    if hasattr(model, "set_experts_implementation"):
        model.set_experts_implementation("eager")  # the others take fp32 at most
    if plugs is not None:
        plugs.fill(model)
    model = model.to(getattr(torch, dtype))
    return randomized(model, std=std) if random else model.eval()


def token_ids(vocab_size: int, length: int, *, seed: int = 0) -> Any:
    """Random token ids [1, length]."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    return torch.randint(3, vocab_size, (1, length), generator=generator)
