"""bfloat16: in bfloat16 ours strays from fp32 no further than twice as far as the reference does."""

from levgen.prove.bench import Bench, tokens_of
from levgen.prove.outcome import Outcome, failed, passed

_AS_FAR = 2.0


def bfloat16(bench: Bench) -> Outcome:
    """Both sides' logits in bfloat16 against the reference's in fp32."""
    ours, theirs = bench.ported().bfloat16_errors(tokens_of(bench.case))
    figure = f"{ours:.1e}, the reference {theirs:.1e}"
    return passed(figure) if ours <= _AS_FAR * theirs else failed("more than twice as far from fp32", figure)
