"""gradients: the gradient of the loss by every parameter equals the reference's."""

from levgen.prove.bench import Bench, tokens_of
from levgen.prove.outcome import GRADIENT, Outcome, failed, measured
from levgen.runtime.testing import relative_error


def gradients(bench: Bench) -> Outcome:
    """Compares them by their names in the checkpoint."""
    ported, tokens = bench.ported(), tokens_of(bench.case)
    ours, theirs = ported.gradients(tokens), ported.reference_gradients(tokens)
    strange = sorted(ours.keys() ^ theirs.keys())
    if strange:
        return failed(f"only one side trains {', '.join(strange[:3])}", case=bench.case)
    errors = {name: relative_error(ours[name], gradient) for name, gradient in theirs.items()}
    return measured(errors, GRADIENT, cases=dict.fromkeys(errors, bench.case))
