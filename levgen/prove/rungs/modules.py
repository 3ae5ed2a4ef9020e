"""modules: each module alone, given what the reference's was given, gives what it gave."""

import dataclasses

from levgen.prove.bench import Bench
from levgen.prove.diagnose.segments import modules_alone
from levgen.prove.outcome import MODULE, Outcome, measured
from levgen.prove.trace.align import compare, guide, layer_of, stack_of


def modules(bench: Bench) -> Outcome:
    """Every module that the reference has too, in every layer; the layers start from the reference's values."""
    ported = bench.ported()
    stack = stack_of(ported.model)
    led = guide(ported.reference, bench.case, stack)
    pairs = compare(ported.model, bench.subject.module, bench.case, led)
    alone = modules_alone(pairs, stack)
    errors = {pair.ours.path: pair.outputs for pair in alone if pair.outputs is not None}
    table = [
        {
            "path": pair.ours.path,
            "layer": layer_of(pair.ours.path, stack),
            "part": _part(pair.ours.path, stack),
            "class": pair.ours.class_name,
            "error": pair.outputs,
        }
        for pair in alone
    ]
    outcome = measured(errors, MODULE, cases=dict.fromkeys(errors, bench.case))
    return dataclasses.replace(outcome, data={"modules": table})


def _part(path: str, stack: str) -> str:
    """The module's name within its layer; the whole name outside of layers."""
    if layer_of(path, stack) is None:
        return path
    return path.removeprefix(f"{stack}.").partition(".")[2] or "layer"
