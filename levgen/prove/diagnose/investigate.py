"""From a rung that failed to the first divergence: where, how, and why."""

import sys
from typing import Any

import libcst as cst

from levgen.errors import LevgenError
from levgen.prove.bench import Bench, Vocab, abstract, inputs
from levgen.prove.diagnose.divergence import Divergence
from levgen.prove.diagnose.explain import chain, explain, first_that, in_order, mended
from levgen.prove.diagnose.locate import Place, locate
from levgen.prove.diagnose.owners import Owner, owner_of
from levgen.prove.diagnose.trial import Trial, bound_of, standing_in
from levgen.prove.ladder import Climbed
from levgen.prove.mutate.site import FileFacts, read_facts
from levgen.prove.outcome import Case, Status
from levgen.prove.rungs.initialisation import differences
from levgen.prove.trace.align import Guide, pairs, stack_of
from levgen.prove.trace.event import Trace
from levgen.prove.trace.ours import our_trace
from levgen.runtime.checkpoints.names import hf_tensors
from levgen.runtime.reference import fresh_reference
from levgen.runtime.testing import load_from_torch, randomize


def investigate(bench: Bench, steps: list[Climbed]) -> Divergence | None:
    """The divergence behind the first rung that failed and says on what; None where no rung does."""
    failed = [step for step in steps if step.outcome.status is Status.FAILED]
    for step in failed:
        if step.rung.name == "initialisation" and len(failed) == 1:
            return _fresh_weights(bench)
        if step.outcome.case is not None:
            found = _of_case(bench, step.outcome.case)
            if found is not None:
                return found
    return None


def _of_case(bench: Bench, case: Case) -> Divergence | None:
    subject = bench.subject
    facts = read_facts(cst.parse_module(subject.source))
    reference = _reference(subject.model_class, case.config)
    try:
        model = load_from_torch(subject.model_class, reference)
    except LevgenError as error:
        return _unloadable(bench, case, reference, facts, str(error).splitlines()[0])
    stack = stack_of(model)
    trial = Trial(subject.files, reference, case, stack)
    trace = our_trace(model, subject.module, inputs(case), feed=trial.led.feed, head=trial.led.head)
    if trace.error is not None:
        place = _raised(trace, trial.led, facts)
    else:
        found = locate(pairs(trace, trial.led), stack, facts.classes.keys(), bound_of(case))
        if found is None:
            return None
        place = found
    return explain(trial, subject.source, place, list(_suspects(facts, place.owner)))


def _suspects(facts: FileFacts, owner: str) -> list[str]:
    fields = {name: dict(found.fields) for name, found in facts.classes.items() if found is not facts.config}
    return [*chain(fields, owner), facts.config.name]


def _raised(trace: Trace, led: Guide, facts: FileFacts) -> Place:
    """The place of a run that stopped with an error: what gave something of another shape, or else what was running."""
    running = [trace.events[index] for index in trace.stack]
    inner = next((event for event in reversed(running) if event.class_name in facts.classes), None)
    message = (str(trace.error).strip().splitlines() or [type(trace.error).__name__])[0]
    seen = f"it raises {type(trace.error).__name__}: {message}"
    for pair in pairs(trace, led):
        event, theirs = pair.ours, pair.theirs
        if event.ended and event.class_name in facts.classes and theirs and event.outputs and theirs.outputs:
            got, right = event.outputs[0], theirs.outputs[0].array.shape
            if got.array.shape != right:
                axes = ", ".join(f"{name} {size}" for name, size in got.axes)
                seen = f"it gives {{{axes}}} where the reference gives {right[-1]} numbers a position; then {seen}"
                return Place(event.class_name, event.path, seen, event.path, None, float("inf"))
    if inner is None:
        return Place(list(facts.classes)[-1], "", seen, "<logits>", None, float("inf"))
    return Place(inner.class_name, inner.path, seen, inner.path, None, float("inf"))


def _unloadable(bench: Bench, case: Case, reference: Any, facts: FileFacts, said: str) -> Divergence:
    """A model that the reference's weights don't fit: the first tensor says where, the edit that lets them fit why."""
    subject = bench.subject
    owner, seen = _misfit(subject.model_class, case.config, reference, said)
    place = Place(owner.owner, owner.path, seen, "<logits>", None, float("inf"))
    suspects = _suspects(facts, owner.owner)
    found = in_order(subject.source, suspects)
    # Edits of the line that makes the module come first.
    found.sort(key=lambda m: owner.field not in m.lines(subject.source)[0])
    stack = ""
    trial: Trial | None = None

    def mends(source: str) -> bool:
        nonlocal stack, trial
        try:
            with standing_in(subject.files, source) as (_, model_class):
                loaded = load_from_torch(model_class, reference)
        except Exception:
            return False
        if trial is None:
            stack = stack_of(loaded)
            trial = Trial(subject.files, reference, case, stack)
        return trial.agreements(source) == trial.most

    mutation, tried = first_that(found, mends, subject.source)
    if mutation is None:
        return Divergence(place.owner, place.path, place.seen, tried=tried)
    return mended(place, mutation, subject.source, explained=1.0, tried=tried)


def _misfit(model_class: Any, config: Any, reference: Any, said: str) -> tuple[Owner, str]:
    """The module of the first tensor that one side lacks, or has in another shape."""
    from levgen.runtime.checkpoints.from_torch import checkpoint_names

    theirs = {name: tuple(t.shape) for name, t in checkpoint_names(reference, reference.state_dict()).items()}
    model = abstract(model_class, model_class.config_class().from_hf_config(reference.config), Vocab)
    ours = {tensor.name: tensor.shape for tensor in hf_tensors(model)}
    for name in [*theirs, *ours]:
        path = name.rpartition(".")[0]
        if name not in ours:
            return owner_of(model, path), f"{name} of the reference has no place in it"
        if name not in theirs:
            return owner_of(model, path), f"{name} is in no file of the reference"
        if ours[name] != theirs[name]:
            return owner_of(model, path), f"{name} is {ours[name]} instead of {theirs[name]}"
    return owner_of(model, ""), said


def _fresh_weights(bench: Bench) -> Divergence | None:
    """Weights that are drawn otherwise than the reference's."""
    subject = bench.subject
    problems = differences(subject)
    if not problems:
        return None
    facts = read_facts(cst.parse_module(subject.source))
    name, _, numbers = problems[0].partition(": ")
    owner = owner_of(bench.fresh, name.rpartition(".")[0])
    place = Place(
        owner.owner, owner.path, f"fresh weights of `{owner.field}` are drawn otherwise: {numbers}", "", None, 1.0
    )
    suspects = _suspects(facts, owner.owner)
    kinds = ("initialisation", "config", "default", "deviation")
    found = [m for m in in_order(subject.source, suspects) if m.where.endswith(".init") and m.kind in kinds]

    def mends(source: str) -> bool:
        before = sys.modules.get(subject.files.module_name)
        try:
            return not differences(subject.with_source(source))
        except Exception:
            return False
        finally:
            if before is not None:
                sys.modules[subject.files.module_name] = before

    mutation, tried = first_that(found, mends, subject.source)
    if mutation is None:
        return Divergence(place.owner, place.path, place.seen, tried=tried)
    return mended(place, mutation, subject.source, explained=1.0, tried=tried)


def _reference(model_class: Any, config: Any) -> Any:
    """As the rungs build it: the same seed, so the same weights."""
    return randomize(fresh_reference(config, Vocab), 0)
