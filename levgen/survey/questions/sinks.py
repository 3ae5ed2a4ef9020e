"""Does a learned logit take part in the softmax, for each head, that no value belongs to?"""

from levgen.survey.evidence import Evidence, choose, relative
from levgen.survey.observe.bench import Bench


def find_sinks(bench: Bench, evidence: list[Evidence]) -> str | None:
    """The parameter that holds the logits, or None where probabilities sum to 1.

    At queries of zero a row of n visible keys sums to n / (n + exp(sink)). Raises UnresolvedError where it sums to
    anything else.
    """
    total = bench.shares(*bench.even()).sum(-1)
    candidates = {
        name: parameter.detach().double().reshape(-1, 1)
        for name, parameter in bench.anatomy.loose.items()
        if parameter.numel() == bench.roles.heads
    }
    if not candidates:
        return None  # rows that don't sum to 1 are told where probabilities are read
    seen = bench.visible.sum(-1)
    errors = {"none": float((total - 1).abs().max())}
    errors |= {name: relative(seen / (seen + sink.exp()), total) for name, sink in candidates.items()}
    found = choose("sinks", errors, "sums of probabilities at queries of zero", module=bench.module)
    evidence.append(found)
    return None if found.chosen == "none" else str(found.chosen)
