"""A seeded fault is found: the module that is wrong, and why."""

import pytest
from faults import FAULTS, Fault

from levgen.prove.bench import Bench
from levgen.prove.diagnose.divergence import Divergence
from levgen.prove.diagnose.investigate import investigate
from levgen.prove.ladder import chosen, climb
from levgen.prove.outcome import Status

QUICK = ("llama: rope layout", "gpt2: bias of the MLP taken away", "gpt2: no bias")
# Experts take longest: of their faults these stand for all in CI.
SLOW = ("mixtral: sigmoid of scores", "deepseek_v3: groups of experts ignored")
EXPERTS = ("mixtral", "deepseek_v3")
RUNGS = ("parameters", "modules", "forward", "positions", "masks", "initialisation")


def divergence(bench: Bench) -> Divergence | None:
    """What is found after climbing to the first rung that fails."""
    steps = []
    for step in climb(bench, chosen(RUNGS)):
        steps.append(step)
        if step.outcome.status is Status.FAILED:
            break
    return investigate(bench, steps)


def name(fault: Fault) -> str:
    return f"{fault.model}: {fault.what}"


def mark(fault: Fault) -> tuple[pytest.MarkDecorator, ...]:
    if name(fault) in QUICK:
        return ()
    if fault.model in EXPERTS and name(fault) not in SLOW:
        return (pytest.mark.exhaustive,)
    return (pytest.mark.slow,)


@pytest.mark.parametrize("fault", [pytest.param(f, id=name(f), marks=mark(f)) for f in FAULTS])
def test_module_and_cause_of_a_fault_are_found(subject, fault: Fault) -> None:
    wrong = fault.seeded(subject(fault.model).source)
    found = divergence(Bench(subject(fault.model, wrong)))
    assert found is not None
    assert (found.module, found.kind in fault.kinds) == (fault.module, True), found.lines()
    assert found.explained == 1.0
    assert found.edit is not None


def test_faults_are_many_and_of_several_models() -> None:
    assert len(FAULTS) >= 25
    assert {fault.model for fault in FAULTS} == {"llama", "gpt2", "gemma2", "olmo2", "mixtral", "deepseek_v3"}


def test_a_right_model_has_no_divergence(subject) -> None:
    assert divergence(Bench(subject("gpt2"))) is None


@pytest.mark.slow
def test_what_no_edit_explains_is_still_located(subject) -> None:
    source = subject("gpt2").source
    right = "self.c_proj(self.act(self.c_fc(x)))"
    assert right in source
    wrong = source.replace(right, "self.c_proj(self.act(hax.sin(self.c_fc(x))))")
    found = divergence(Bench(subject("gpt2", wrong)))
    assert found is not None
    assert found.module == "Gpt2Mlp"
    assert found.cause is None
    assert "no known cause explains it" in found.lines()[-1]


@pytest.mark.slow
def test_a_model_that_raises_says_where(subject) -> None:
    source = subject("gpt2").source
    wrong = source.replace("self.c_proj(self.act(self.c_fc(x)))", "self.c_fc(self.act(self.c_fc(x)))")
    bench = Bench(subject("gpt2", wrong))
    steps = list(climb(bench, chosen(["forward"])))
    assert [step.rung.name for step in steps if step.outcome.status is Status.FAILED] == ["traces"]
    found = investigate(bench, steps)
    assert found is not None
    assert found.module == "Gpt2Mlp"
    assert "it raises" in found.seen
    assert found.edit is not None
    assert found.edit[1] == "return self.c_proj(self.act(self.c_fc(x)))"
