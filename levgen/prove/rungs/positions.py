"""positions: far beyond a short prompt, past the length that a scaled rotation was trained on, past the model's own."""

import dataclasses

import haliax as hax

from levgen.prove.bench import BEYOND, Bench, logits_of, tokens_of
from levgen.prove.outcome import MODEL, Outcome, measured
from levgen.prove.rungs.forward import errors_by_position
from levgen.runtime import AttentionMask
from levgen.runtime.testing import relative_error

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
    if ported.takes_positions:
        tokens = tokens_of(bench.case)
        # With gaps: a rotation sees differences only, so positions that start elsewhere would look the same.
        apart = hax.arange(tokens.resolve_axis("position")) * GAP
        given = logits_of(ported.model, tokens, AttentionMask.causal(), apart)
        errors[f"positions {GAP} apart"] = relative_error(given, ported.logits(tokens, apart))
    outcome = measured(errors, MODEL, cases=by_name)
    return dataclasses.replace(outcome, data={"by_position": by_position})
