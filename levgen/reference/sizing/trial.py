"""Trying a config: whether it builds and runs, the shapes that its weights have, and what it computes."""

import itertools
from collections.abc import Mapping
from typing import Any

from levgen.reference.find import Found
from levgen.reference.randomize import build, token_ids
from levgen.reference.sizing.values import VOCAB

PROBE_LENGTH = 41
PATIENCE = 15.0  # seconds


def problem_with(found: Found, values: Mapping[str, Any], dtype: str = "float64") -> str | None:
    """Why a config can't be built and run, else None."""
    import torch

    try:
        model = build(found, found.config(**values), dtype=dtype)
        with torch.no_grad():
            model(token_ids(VOCAB, PROBE_LENGTH))
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def weight_shapes(found: Found, values: Mapping[str, Any]) -> dict[str, tuple[int, ...]] | None:
    """Name -> shape of the parameters and buffers of a config; None where it doesn't build."""
    import torch

    try:
        with torch.device("meta"):
            model = found.model_class(found.config(**values))
    except Exception:
        return None
    tensors = itertools.chain(model.named_parameters(), model.named_buffers())
    return {name: tuple(tensor.shape) for name, tensor in tensors}


def _logits(found: Found, values: Mapping[str, Any]) -> Any:
    """Logits [1, T, vocab] of a config with weights by name; None where it doesn't run."""
    import torch

    try:
        with torch.no_grad():
            return build(found, found.config(**values))(token_ids(VOCAB, PROBE_LENGTH)).logits
    except Exception:
        return None


def moves_logits(found: Found, values: Mapping[str, Any], changed: Mapping[str, Any]) -> bool:
    before, after = _logits(found, values), _logits(found, changed)
    if before is None or after is None or before.shape != after.shape:
        return False
    return float((before - after).abs().max()) > 1e-6 * float(before.abs().max())
