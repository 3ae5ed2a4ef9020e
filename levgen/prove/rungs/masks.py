"""masks: packed documents, padding, the edges of a window, and no look ahead."""

import dataclasses
from typing import Any

import haliax as hax
import numpy as np
from haliax import NamedArray

from levgen.prove.bench import LENGTH, Bench, Vocab, inputs, logits_of, reference_logits, tokens_of
from levgen.prove.outcome import MODEL, Outcome, failed, measured
from levgen.runtime import AttentionMask
from levgen.runtime.testing import relative_error

_DOCUMENTS = (24, 40)
_PADDING = 9


def masks(bench: Bench) -> Outcome:
    """Everything against the reference, which is run on each document alone."""
    ported = bench.ported()
    leak = _looks_ahead(ported.model, tokens_of(bench.case))
    if leak is not None:
        return failed(f"a token changes what comes before it, by {leak:.1e}", case=bench.case)
    packed = dataclasses.replace(bench.case, documents=_DOCUMENTS)
    cases = {"packed documents": packed}
    errors = {
        "packed documents": relative_error(logits_of(ported.model, *inputs(packed)), reference_logits(ported, packed))
    }
    errors["left padding"] = _padded(ported, tokens_of(bench.case))
    for window in _windows(bench.subject.config):
        for length in (window - 1, window, window + 1, 2 * window + 1):
            name = f"{length} positions, window {window}"
            cases[name] = bench.settled(bench.subject.config, length)
            tokens = tokens_of(cases[name])
            errors[name] = relative_error(logits_of(ported.model, tokens), ported.logits(tokens))
    return measured(errors, MODEL, cases=cases)


def _looks_ahead(model: Any, tokens: NamedArray) -> float | None:
    """How much the last token moves the logits before it; None where it doesn't."""
    last = tokens["position", LENGTH - 1 : LENGTH]
    changed = tokens.updated_slice({"position": LENGTH - 1}, (last + 1) % Vocab.size)
    moved = hax.abs(logits_of(model, tokens) - logits_of(model, changed))["position", : LENGTH - 1]
    most = float(moved.array.max())
    return most if most > 0 else None


def _padded(ported: Any, tokens: NamedArray) -> float:
    """The error where a sequence is padded on the left, and an explicit mask hides the padding."""
    Pos = tokens.resolve_axis("position")
    KeyPos = Pos.alias("key_position")
    real = np.arange(Pos.size) >= _PADDING
    causal = np.tril(np.ones((Pos.size, Pos.size), bool))
    visible: NamedArray = hax.named(causal & real[None, :], (Pos, KeyPos))
    positions = hax.named(np.maximum(np.arange(Pos.size) - _PADDING, 0), Pos)
    ours = logits_of(ported.model, tokens, AttentionMask.explicit(visible), positions)
    return relative_error(ours["position", _PADDING:], ported.logits(tokens["position", _PADDING:]))


def _windows(config: Any) -> list[int]:
    """The windows and chunks of a config: whole numbers in fields that say so, short enough to be seen."""
    names = [f.name for f in dataclasses.fields(config) if "window" in f.name or "chunk" in f.name]
    values = {getattr(config, name) for name in names}
    return sorted(value for value in values if isinstance(value, int) and 1 < value < LENGTH)
