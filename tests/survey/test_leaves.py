"""What a module with parameters computes, found by calling it."""

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from levgen.survey.evidence import UnresolvedError
from levgen.survey.observe.leaves import Affine, NormLeaf, identify, identify_table
from levgen.survey.observe.shapes import LENGTH

nn = torch.nn


@pytest.fixture
def example() -> Any:
    torch.manual_seed(0)
    return torch.randn(1, LENGTH, 12, dtype=torch.float64)


def _random(module: Any) -> Any:
    torch.manual_seed(1)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return module.double()


class Backwards(nn.Module):  # type: ignore[misc, name-defined]
    """x W with W {in, out}."""

    def __init__(self) -> None:
        super().__init__()
        self.matrix = nn.Parameter(torch.zeros(12, 12))
        self.shift = nn.Parameter(torch.zeros(12))

    def forward(self, x: Any) -> Any:
        return x @ self.matrix + self.shift


class Rms(nn.Module):  # type: ignore[misc, name-defined]
    def __init__(self, offset: float, eps: float, *, spoil: bool = False) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.zeros(12))
        self.offset, self.eps, self.spoil = offset, eps, spoil

    def forward(self, x: Any) -> Any:
        size = x.abs().mean(-1, keepdim=True) if self.spoil else (x.pow(2).mean(-1, keepdim=True) + self.eps).sqrt()
        return x / size * (self.offset + self.gain)


def test_a_linear_map_and_its_parameters(example: Any) -> None:
    assert identify(_random(nn.Linear(12, 7)), example) == Affine("weight", "bias", False, 7, 0.0)
    assert identify(_random(nn.Linear(12, 7, bias=False)), example) == Affine("weight", None, False, 7, 0.0)


def test_a_square_weight_that_is_stored_the_other_way_round(example: Any) -> None:
    found = identify(_random(Backwards()), example)
    assert isinstance(found, Affine)
    assert (found.weight, found.bias, found.transposed) == ("matrix", "shift", True)


@pytest.mark.parametrize("offset", [0.0, 1.0])
@pytest.mark.parametrize("eps", [1e-5, 1e-6, 1e-8])
def test_a_norm_of_root_mean_squares(example: Any, offset: float, eps: float) -> None:
    found = identify(_random(Rms(offset, eps)), example)
    assert isinstance(found, NormLeaf)
    assert (found.kind, found.weight, found.offset, found.bias) == ("rms", "gain", bool(offset), None)
    assert found.eps == pytest.approx(eps, rel=1e-2)
    assert found.evidence.error is not None
    assert found.evidence.error < 1e-9


def test_a_layer_norm(example: Any) -> None:
    found = identify(_random(nn.LayerNorm(12, eps=1e-3)), example)
    assert isinstance(found, NormLeaf)
    assert (found.kind, found.weight, found.bias, found.offset) == ("layer", "weight", "bias", False)
    assert found.eps == pytest.approx(1e-3, rel=1e-3)


def test_a_norm_without_parameters(example: Any) -> None:
    found = identify(nn.LayerNorm(12, elementwise_affine=False).double(), example)
    assert isinstance(found, NormLeaf)
    assert (found.weight, found.bias) == (None, None)


def test_another_norm_is_not_taken_for_one(example: Any) -> None:
    with pytest.raises(UnresolvedError, match="neither affine nor a norm"):
        identify(_random(Rms(0.0, 0.0, spoil=True)), example)


def test_a_parameter_without_a_role_is_noticed(example: Any) -> None:
    module = _random(nn.Linear(12, 7))
    module.register_parameter("spare", nn.Parameter(torch.ones(3)))
    with pytest.raises(UnresolvedError, match="spare"):
        identify(module, example)


def test_a_module_that_is_neither(example: Any) -> None:
    with pytest.raises(UnresolvedError, match="neither affine nor"):
        identify(_random(nn.Sequential(nn.Linear(12, 7), nn.Tanh())), example)


def test_rows_of_a_table_and_their_scale() -> None:
    table = _random(nn.Embedding(50, 12))
    found = identify_table(table, 3.0 * table(torch.arange(2, 2 + LENGTH))[None])
    assert found.rows == tuple(range(2, 2 + LENGTH))
    assert found.scale == pytest.approx(3.0)
    with pytest.raises(UnresolvedError, match="no rows of a parameter"):
        identify_table(table, table(torch.arange(LENGTH))[None] + 0.1)
