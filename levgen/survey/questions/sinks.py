"""Does a learned logit take part in the softmax, for each head, that no value belongs to? Are values multiplied?"""

from levgen.survey.evidence import Evidence, choose, relative
from levgen.survey.observe.bench import Bench

# Values that are multiplied by a number this near to 1 are not.
_SAME = 1e-6


def find_sinks(bench: Bench, evidence: list[Evidence]) -> tuple[str | None, float]:
    """(the parameter that holds the logits, or None where there are none; what values are multiplied by)

    At queries of zero a row of n visible keys sums to n / (n + exp(sink)), times the number that values are multiplied
    by, which is the same however many keys there are. Raises UnresolvedError where it sums to anything else.
    """
    import torch

    total = bench.shares(*bench.even()).sum(-1)
    candidates = {
        name: parameter.detach().double().reshape(-1, 1)
        for name, parameter in bench.anatomy.loose.items()
        if parameter.numel() == bench.roles.heads
    }
    seen = bench.visible.sum(-1)
    shares = {"none": torch.ones_like(total)} | {n: seen / (seen + sink.exp()) for n, sink in candidates.items()}
    scales = {name: float((share * total).sum() / share.pow(2).sum()) for name, share in shares.items()}
    errors = {name: relative(scales[name] * share, total) for name, share in shares.items()}
    probe = "sums of probabilities at queries of zero"
    found = choose("sinks", errors, probe, module=bench.module)
    scale = scales[str(found.chosen)]
    scale = 1.0 if abs(scale - 1) <= _SAME else float(f"{scale:.7g}")
    if candidates:
        evidence.append(found)
    if scale != 1.0:
        error = relative(scale * shares[str(found.chosen)], total)
        evidence.append(Evidence("scale of values", scale, error, 1.0, abs(scale - 1), probe))
    return (None if found.chosen == "none" else str(found.chosen)), scale
