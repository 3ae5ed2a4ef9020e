"""initialisation: fresh weights have the reference's mean and standard deviation, parameter by parameter."""

import dataclasses

from levgen.prove.bench import Bench, Vocab
from levgen.prove.outcome import Outcome, failed, passed
from levgen.prove.subject import Subject
from levgen.runtime.parity import Ported

# Wider than TINY, so that an average over a parameter says something.
_WIDER = {"hidden_dim": 96, "intermediate_dim": 160}


def initialisation(bench: Bench) -> Outcome:
    """Compares the draws of both sides."""
    problems = differences(bench.subject)
    if problems:
        return failed(problems[0], f"{len(problems)} parameters differ", details=tuple(problems[1:]))
    return passed("mean and deviation of every parameter within six standard errors")


def differences(subject: Subject) -> list[str]:
    """`name: ours, reference` of the parameters that are drawn otherwise, with the head tied and not."""
    config = subject.config
    fields = {field.name for field in dataclasses.fields(config)}
    wider = dataclasses.replace(config, **{name: value for name, value in _WIDER.items() if name in fields})
    ties = [{"tie_word_embeddings": tied} for tied in (True, False)] if "tie_word_embeddings" in fields else [{}]
    found = [
        problem
        for tie in ties
        for problem in Ported.differing_initializations(subject.model_class, dataclasses.replace(wider, **tie), Vocab)
    ]
    return list(dict.fromkeys(found))
