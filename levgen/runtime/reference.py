"""A reference of transformers: made with its own weights, and what parity tests ask of a torch model.

torch and transformers are imported where they are used.
"""

import json
from pathlib import Path
from typing import Any

from haliax import Axis

from levgen.errors import LevgenError
from levgen.runtime.config import LmConfig
from levgen.runtime.hf_config.common import COMMON_FIELDS
from levgen.runtime.hf_config.values import HfConfigError


def fresh_reference(config: LmConfig, Vocab: Axis, folder: Path | None = None) -> Any:
    """A causal language model of transformers, or of the code in `folder`, with its own weights, seed 0."""
    import torch
    from transformers import AutoModelForCausalLM

    hf_config = reference_config(config, Vocab.size)
    # One thread: small tensors gain nothing from more, and sums come out in one order.
    torch.set_num_threads(1)
    torch.manual_seed(0)
    if folder is not None:
        return _from_folder(hf_config, folder)
    model = AutoModelForCausalLM.from_config(hf_config, attn_implementation="eager", dtype=torch.float32)
    for module in model.modules():
        if hf_config.pad_token_id is not None and isinstance(module, torch.nn.Embedding):
            module.padding_idx = None
    return model


def reference_config(config: LmConfig, vocab_size: int) -> Any:
    """The transformers config of `config`, in which no token pads where its class can say so.

    torch keeps gradients from the embedding of a padding token, and which token pads is the tokenizer's business.
    """
    try:
        return config.to_hf_config(vocab_size, {"pad_token_id": None})
    except HfConfigError:
        return config.to_hf_config(vocab_size)


def _from_folder(hf_config: Any, folder: Path) -> Any:
    """The model that the code of `folder` makes of the fields of `hf_config`. transformers imports it, from a copy."""
    from transformers.dynamic_module_utils import get_class_from_dynamic_module

    entries = json.loads((folder / "config.json").read_text(encoding="utf-8"))["auto_map"]
    ConfigClass, ModelClass = (
        get_class_from_dynamic_module(entries[key], str(folder)) for key in ("AutoConfig", "AutoModelForCausalLM")
    )
    own = {name: value for name, value in hf_config.to_dict().items() if name not in COMMON_FIELDS}
    config = ConfigClass(**own, vocab_size=hf_config.vocab_size, pad_token_id=None)
    config._attn_implementation = "eager"
    return ModelClass(config)


def first_tensor(values: list[Any] | tuple[Any, ...]) -> Any:
    """The first tensor of floating-point numbers. Raises LevgenError where there is none."""
    for value in values:
        if hasattr(value, "is_floating_point") and value.is_floating_point():
            return value
    raise LevgenError("the reference's module takes or gives no hidden states")


def unreached(reference: Any) -> dict[str, Any]:
    """Zeros for the parameters of a torch model that are trained, and whose loss has no gradient by them."""
    import torch

    named = reference.named_parameters()
    return {name: torch.zeros_like(p) for name, p in named if p.requires_grad and p.grad is None}
