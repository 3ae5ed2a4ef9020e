"""positions: far beyond a short prompt, past the length that a scaled rotation was trained on, past the model's own."""

import dataclasses

from levgen.prove.bench import BEYOND, Bench, logits_of, random_tokens
from levgen.prove.outcome import MODEL, Case, Outcome, measured
from levgen.prove.rungs.forward import errors_by_position
from levgen.runtime.testing import relative_error


def positions(bench: Bench) -> Outcome:
    """Each kind of rotary positions beyond the maximum; without them, to the end of the context."""
    subject = bench.subject
    longest = subject.config.max_seq_len
    cases = {kind: Case(config, longest + BEYOND) for kind, config in subject.rotations.items()}
    cases = cases or {"TINY": Case(subject.config, longest)}
    errors: dict[str, float] = {}
    by_position: list[float] = []
    for name, case in cases.items():
        ported, tokens = bench.ported(case.config), random_tokens(case.length)
        ours, theirs = logits_of(ported.model, tokens), ported.logits(tokens)
        errors[f"{case.length} positions, {name}"] = relative_error(ours, theirs)
        by_position = by_position or errors_by_position(ours, theirs)
    outcome = measured(errors, MODEL, cases=dict(zip(errors, cases.values(), strict=True)))
    return dataclasses.replace(outcome, data={"by_position": by_position})
