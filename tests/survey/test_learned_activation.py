"""An activation with parameters is known by what it computes whatever its tensors hold, and any other is unknown."""

from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from transformers.activations import ACT2CLS

from levgen.reference.record import Call
from levgen.survey.evidence import UnresolvedError
from levgen.survey.observe.leaves import is_elementwise
from levgen.survey.questions.learned_activation import identify_learned

nn, XIelu = torch.nn, ACT2CLS["xielu"]


class Odd(XIelu):  # type: ignore[misc, valid-type]
    """The activation, with `change`: of (itself, input, output)."""

    def __init__(self, change: Callable[..., Any]) -> None:
        super().__init__(dtype=torch.float64)
        self.change = change

    def forward(self, x: Any) -> Any:
        return self.change(self, x, super().forward(x))


class Named(nn.Module):  # type: ignore[misc, name-defined]
    """The same function under names of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = (nn.Parameter(torch.full((1,), value, dtype=torch.float64)) for value in (0.3, -0.8))
        self.register_buffer("line", torch.tensor(0.4, dtype=torch.float64))
        self.register_buffer("start", torch.tensor(-0.1, dtype=torch.float64))

    def forward(self, x: Any) -> Any:
        positive, negative = nn.functional.softplus(self.up), self.line + nn.functional.softplus(self.down)
        bent = (torch.expm1(torch.min(x, self.start)) - x) * negative
        return torch.where(x > 0, positive * x * x, bent) + self.line * x


def _recorded(module: Any) -> Call:
    x = torch.randn(1, 5, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return Call("act", module, x, module(x))


def test_the_activation_is_known_and_keeps_its_numbers() -> None:
    module = XIelu(dtype=torch.float64)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    found = identify_learned(module)
    x = torch.linspace(-4, 4, 99, dtype=torch.float64)
    assert found.name == "xielu"
    assert found.evidence.error == 0.0
    assert found.evidence.runner_up == "xielu of alpha_p, alpha_n, eps, beta"
    assert found.evidence.runner_up_error is not None
    assert found.evidence.runner_up_error > 1e-2
    assert torch.equal(found.function(x), module(x))
    assert all(torch.equal(before[name], tensor) for name, tensor in module.state_dict().items())


def test_names_that_a_card_has_no_place_for_are_unknown() -> None:
    with pytest.raises(UnresolvedError, match="alpha_p, alpha_n, beta, eps are called up, down, line, start"):
        identify_learned(Named())


CHANGES: dict[str, Callable[..., Any]] = {
    "another formula where it is negative": lambda m, x, y: torch.where(x > 0, y, y - m.beta * x),
    "a start that is written in code": lambda m, x, y: y + (x <= 0) * (x.expm1() - m.eps.min(x).expm1()),
    "a slope that is written in code": lambda m, x, y: y + (0.5 - m.beta) * x,
    "a negative slope of its own": lambda m, x, y: y - (x <= 0) * m.beta * (torch.expm1(torch.min(x, m.eps)) - x),
    "a little more near 0": lambda m, x, y: y + 1e-5 * torch.exp(-(x**2)),
    "a limit far out": lambda m, x, y: y.clamp(max=2e4),
    "a little of the sine": lambda m, x, y: y + 1e-4 * x.sin(),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_is_unknown(change: Callable[..., Any]) -> None:
    module = Odd(change)
    assert is_elementwise(_recorded(module))
    with pytest.raises(UnresolvedError, match="activation with parameters: no candidate reproduces"):
        identify_learned(module)


@pytest.mark.parametrize("module", [nn.PReLU(), nn.PReLU(12)], ids=["one slope", "a slope for each channel"])
def test_other_parameters_are_unknown(module: Any) -> None:
    with pytest.raises(UnresolvedError, match=r"none known holds \{'weight': "):
        identify_learned(module.double())


def test_what_looks_across_channels_is_no_activation() -> None:
    assert not is_elementwise(_recorded(nn.LayerNorm(12).double()))
    assert not is_elementwise(_recorded(Odd(lambda m, x, y: y + 1e-3 * x.flip(-1))))
