"""optimiser: parameters after one step of AdamW equal the reference's."""

from levgen.prove.bench import Bench, tokens_of
from levgen.prove.outcome import MODEL, Outcome, measured
from levgen.runtime.testing import relative_error


def optimizer(bench: Bench) -> Outcome:
    """One step with weight decay from the same random weights."""
    ported, tokens = bench.ported(), tokens_of(bench.case)
    ours, theirs = ported.adamw_step(tokens), ported.reference_adamw_step(tokens)
    errors = {name: relative_error(ours[name], parameter) for name, parameter in theirs.items()}
    return measured(errors, MODEL, cases=dict.fromkeys(errors, bench.case))
