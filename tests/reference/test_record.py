"""Recording and intervening, on a module that writes in place."""

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from levgen.reference.record import Probe, nth_call, record  # noqa: E402


class InPlace(torch.nn.Module):  # type: ignore[misc, name-defined]
    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.Linear(4, 4)
        self.second = torch.nn.Linear(4, 4)

    def forward(self, x: Any, *, twice: bool = False) -> Any:
        h = self.first(x)
        out = self.second(h)
        h += 100.0
        return out * 2 if twice else out


@pytest.fixture
def module() -> InPlace:
    torch.manual_seed(0)
    return InPlace().double()


def test_records_are_copies(module: InPlace) -> None:
    x = torch.randn(3, 4, dtype=torch.float64)
    calls = {c.name: c for c in record(lambda: module(x), {"first": module.first, "second": module.second})}
    assert torch.equal(calls["first"].output, module.first(x))
    assert torch.equal(calls["second"].input, module.first(x))


def test_a_call_is_made_again_with_its_arguments(module: InPlace) -> None:
    x = torch.randn(3, 4, dtype=torch.float64)
    (call,) = record(lambda: module(x, twice=True), {"all": module}, arguments=True)
    probe = Probe(call, {"first": module.first, "second": module.second})
    assert torch.equal(probe.run({}), probe.output)
    assert torch.equal(probe.run({}, input=0 * x), module(0 * x, twice=True))


def test_one_call_of_a_module_that_is_called_twice() -> None:
    inner = torch.nn.Tanh()
    outer = torch.nn.Sequential(inner, torch.nn.Linear(4, 4).double(), inner)
    x = torch.randn(3, 4, dtype=torch.float64)
    names = {"act@0": inner, "act@1": inner}
    calls = {c.name: c for c in record(lambda: outer(x), names)}
    assert torch.equal(calls["act@0"].input, x)
    assert torch.equal(calls["act@1"].output, outer(x))
    (call,) = record(lambda: outer(x), {"all": outer}, arguments=True)
    probe = Probe(call, names)
    other = torch.ones(3, 4, dtype=torch.float64)
    assert torch.equal(probe.run({"act@0": other}, want="act@1"), outer[1](other))
    assert torch.equal(probe.run({"act@1": other}), other)
    assert (nth_call("act@1"), nth_call("act"), nth_call("m.act@0")) == (1, None, 0)


def test_outputs_are_replaced_and_inputs_seen(module: InPlace) -> None:
    x = torch.randn(3, 4, dtype=torch.float64)
    (call,) = record(lambda: module(x), {"all": module}, arguments=True)
    probe = Probe(call, {"first": module.first, "second": module.second})
    other = torch.ones(3, 4, dtype=torch.float64)
    assert torch.equal(probe.run({"first": other}), module.second(other))
    assert torch.equal(probe.run({"first": other}, want="second"), other)
    assert not module.first._forward_hooks, "hooks are taken away"
