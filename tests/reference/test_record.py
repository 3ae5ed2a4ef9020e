"""Recording and intervening, on a module that writes in place."""

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from levgen.reference.record import Probe, record  # noqa: E402


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


def test_outputs_are_replaced_and_inputs_seen(module: InPlace) -> None:
    x = torch.randn(3, 4, dtype=torch.float64)
    (call,) = record(lambda: module(x), {"all": module}, arguments=True)
    probe = Probe(call, {"first": module.first, "second": module.second})
    other = torch.ones(3, 4, dtype=torch.float64)
    assert torch.equal(probe.run({"first": other}), module.second(other))
    assert torch.equal(probe.run({"first": other}, want="second"), other)
    assert not module.first._forward_hooks, "hooks are taken away"
