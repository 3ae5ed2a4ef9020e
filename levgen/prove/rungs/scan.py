"""scan: the scan over layers equals the layers called one after the other."""

from levgen.prove.bench import LENGTH, Bench, inputs, logits_of
from levgen.prove.outcome import MODULE, Case, Outcome, measured
from levgen.prove.trace.align import error
from levgen.prove.trace.event import LOGITS, named_value
from levgen.prove.trace.ours import our_trace


def scan(bench: Bench) -> Outcome:
    """Logits of a fresh model: compiled with the scan, and operation by operation without."""
    tokens, mask, positions = inputs(Case(bench.subject.config, LENGTH))
    trace = our_trace(bench.fresh, bench.subject.module, (tokens, mask, positions))
    if trace.error is not None:
        raise trace.error
    unrolled = trace.at(LOGITS)
    batch, length = tokens.array.shape
    scanned = named_value(logits_of(bench.fresh, tokens, mask, positions), batch, length)
    assert unrolled is not None
    assert scanned is not None
    return measured({"logits": error(scanned.array, unrolled.outputs[0].array)}, MODULE)
