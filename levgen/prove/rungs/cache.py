"""cache: decoding with a cache of keys and values equals the full forward."""

import equinox as eqx
import haliax as hax
from haliax import NamedArray

from levgen.errors import LevgenError
from levgen.prove.bench import LENGTH, Bench, logits_of, random_tokens, tokens_of
from levgen.prove.outcome import MODEL, Outcome, measured, skipped
from levgen.runtime.generation.kv_cache import first_step, next_step
from levgen.runtime.model import LmHeadModel
from levgen.runtime.testing import relative_error

_PROMPT = LENGTH // 2


def cache(bench: Bench) -> Outcome:
    """Each token after the prompt alone, against the whole text at once; and the same with padding on the left."""
    ported = bench.ported() if bench.missing is None else None
    model = bench.fresh if ported is None else ported.model
    tokens = random_tokens() if ported is None else tokens_of(bench.case)
    whole = logits_of(model, tokens)
    try:
        errors = {
            "one token at a time": _worst(model, tokens, whole, padding=0),
            "after padding": _worst(model, tokens, whole, padding=5),
        }
    except LevgenError as error:
        return skipped(error.message)
    return measured(errors, MODEL)


def _worst(model: LmHeadModel, tokens: NamedArray, whole: NamedArray, *, padding: int) -> float:
    """The largest relative error of a step's logits. tokens: {batch, position}. whole: {batch, position, vocab}."""
    Batch, Pos = tokens.axes
    Padded = Pos.resize(padding + _PROMPT)
    visible = (hax.arange(Padded) >= padding).broadcast_axis(Batch).rearrange((Batch, Padded))
    prompt = tokens["position", :_PROMPT]
    if padding:
        nothing = hax.zeros((Batch, Pos.resize(padding)), dtype=tokens.dtype)
        prompt = hax.concatenate(Padded, [nothing, prompt])
    first = eqx.filter_jit(first_step)
    following = eqx.filter_jit(next_step)
    logits, kept = first(model, prompt, visible, capacity=padding + Pos.size)
    errors = [relative_error(logits, whole["position", _PROMPT - 1])]
    for position in range(_PROMPT, Pos.size):
        logits, kept = following(model, tokens["position", position : position + 1], kept)
        errors.append(relative_error(logits, whole["position", position]))
    return max(errors)
