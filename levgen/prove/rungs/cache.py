"""cache: decoding with a key-value cache equals the full forward."""

from levgen.prove.bench import Bench
from levgen.prove.outcome import Outcome, skipped


def cache(bench: Bench) -> Outcome:
    """There is nothing to compare before models have one."""
    if hasattr(bench.subject.model_class, "decode"):
        return skipped("levgen can't compare `decode` of a hand-written model: it has no common interface yet")
    return skipped("generated models have no cache yet")
