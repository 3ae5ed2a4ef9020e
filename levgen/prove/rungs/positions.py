"""positions: far beyond a short prompt, past the length that a scaled rotation was trained on, past the model's own."""

import dataclasses
from typing import Any

import haliax as hax

from levgen.prove.bench import BEYOND, Bench, logits_of, tokens_of
from levgen.prove.outcome import MODEL, Outcome, measured
from levgen.prove.rungs.forward import errors_by_position
from levgen.runtime import AttentionMask
from levgen.runtime.testing import relative_error, shuffled

GAP = 3


def positions(bench: Bench) -> Outcome:
    """Each kind of rotary positions beyond the maximum, else to the end of the context; positions with gaps."""
    subject = bench.subject
    longest = subject.config.max_seq_len
    cases = {kind: bench.settled(config, longest + BEYOND) for kind, config in subject.rotations.items()}
    cases = cases or {"TINY": bench.settled(subject.config, longest)}
    errors: dict[str, float] = {}
    by_position: list[float] = []
    for name, case in cases.items():
        ported, tokens = bench.ported(case.config), tokens_of(case)
        ours, theirs = logits_of(ported.model, tokens), ported.logits(tokens)
        errors[f"{case.length} positions, {name}"] = relative_error(ours, theirs)
        by_position = by_position or errors_by_position(ours, theirs)
    by_name = dict(zip(errors, cases.values(), strict=True))
    ported = bench.ported()
    if _counts_tokens(subject.config):
        tokens = tokens_of(bench.case)
        order, mask = shuffled(tokens.resolve_axis("position"))
        given = logits_of(ported.model, tokens["position", order], mask, order)
        errors["shuffled tokens"] = relative_error(given, ported.logits(tokens)["position", order])
    elif ported.takes_positions:
        tokens = tokens_of(bench.case)
        # With gaps: a rotation sees differences only, so positions that start elsewhere would look the same.
        apart = hax.arange(tokens.resolve_axis("position")) * GAP
        given = logits_of(ported.model, tokens, AttentionMask.causal(), apart)
        errors[f"positions {GAP} apart"] = relative_error(given, ported.logits(tokens, apart))
    outcome = measured(errors, MODEL, cases=by_name)
    return dataclasses.replace(outcome, data={"by_position": by_position})


def _counts_tokens(config: Any) -> bool:
    """Whether the reference counts its tokens somewhere, whatever positions it is told: for chunks, or a temperature.

    Ours goes by positions throughout, so that documents that are packed are what each is alone.
    """
    return any(name in field.name for field in dataclasses.fields(config) for name in ("chunk", "temperature"))
