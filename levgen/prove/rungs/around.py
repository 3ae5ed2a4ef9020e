"""around: all but the stubs of what a survey did not understand, with what the reference gives in their places."""

from typing import Any

from haliax import NamedArray

from levgen.prove.bench import LENGTH, Bench, logits_of, random_tokens
from levgen.prove.outcome import MODEL, Case, Outcome, failed, measured, skipped
from levgen.runtime.parity import Ported
from levgen.runtime.stand_in import Stub, stand_in
from levgen.runtime.testing import relative_error
from levgen.scaffold.views.unknown import UnknownView


def around(bench: Bench) -> Outcome:
    """Logits at every config of the tests, and the gradient of every parameter outside the stubs at TINY."""
    subject, tokens = bench.subject, random_tokens()
    stubs = subject.unknown
    if not stubs or {own.class_name for own in stubs} != set(subject.stubs):
        others = sorted(set(subject.stubs) - {own.class_name for own in stubs})
        return skipped(f"nothing is known of what to give for {', '.join(others)}" if others else "nothing is a stub")
    errors, cases = {}, {}
    for name, config in {"TINY": subject.config, **subject.variations}.items():
        ported = bench.ported(config)
        model = _around(ported, stubs, subject.module, tokens).model
        errors[f"logits at {name}"] = relative_error(logits_of(model, tokens), ported.logits(tokens))
        cases[f"logits at {name}"] = Case(config, LENGTH)
    bare = _around(bench.ported(), stubs, subject.module, tokens)
    ours, theirs = bare.gradients(tokens), bare.reference_gradients(tokens)
    missing = sorted(theirs.keys() - ours.keys())
    if missing:
        return failed(f"ours trains no {', '.join(missing[:3])}", case=bench.case)
    # A gradient may be off by ten times as much as logits.
    errors["gradients / 10"] = max(relative_error(ours[name], g) for name, g in theirs.items()) / 10
    return measured(errors, MODEL, cases=cases)


def _around(ported: Ported[Any], stubs: list[UnknownView], module: Any, tokens: NamedArray) -> Ported[Any]:
    config = ported.model.config
    given = [Stub(getattr(module, own.class_name), own.path, getattr(config, own.axis)) for own in stubs]
    return stand_in(ported, given, tokens)
