"""How fresh weights are drawn, as it shows in the weights of a fresh model."""

import pytest

torch = pytest.importorskip("torch")

from levgen.survey.questions.initialization import Cutoff

SHAPE = (96, 96)


@pytest.mark.parametrize("cutoff", [1.0, 2.0, 3.0])
def test_weights_end_at_the_cutoff(cutoff: float) -> None:
    torch.manual_seed(0)
    cut = torch.nn.init.trunc_normal_(torch.empty(SHAPE), std=0.02, a=-0.02 * cutoff, b=0.02 * cutoff)
    assert Cutoff(cutoff).fits({"q": cut, "o": cut / 8})
    assert not Cutoff(cutoff).fits({"q": cut, "o": torch.randn(SHAPE)})
    assert not Cutoff(cutoff / 2).fits({"q": cut})
    assert float(cut.std()) == pytest.approx(0.02 * Cutoff(cutoff).deviation, rel=0.02)


def test_uniform_weights_are_not_cut_off() -> None:
    torch.manual_seed(0)
    uniform = torch.rand(SHAPE) - 0.5
    assert not any(Cutoff(cutoff).fits({"q": uniform}) for cutoff in (1.0, 2.0, 3.0))
