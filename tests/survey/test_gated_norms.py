"""A norm whose output is multiplied by a gate made of it, told from what only looks like one."""

from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from attentions import WIDTH, Block, Mix
from torch import nn

from levgen.reference.record import record
from levgen.survey.evidence import UnresolvedError
from levgen.survey.observe.anatomy import Anatomy, dissect
from levgen.survey.observe.leaves import NormLeaf
from levgen.survey.observe.shapes import LENGTH
from levgen.survey.questions.dataflow import find_dataflow

RANK = 3


class Gated(nn.Module):
    """`j` is a norm, `k` and `l` make the gate."""

    def __init__(self, *, act: Any = nn.functional.silu, form: Any = None, bias: bool = False) -> None:
        super().__init__()
        self.j = nn.LayerNorm(WIDTH)
        self.k, self.l = nn.Linear(WIDTH, RANK, bias=bias), nn.Linear(RANK, WIDTH, bias=False)
        self.act, self.form = act, form or (lambda x, y, z: y * z.sigmoid())
        self.double()
        torch.manual_seed(6)
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=0.4)

    def forward(self, x: Any) -> Any:
        y = self.j(x)
        return self.form(x, y, self.l(self.act(self.k(y))))


def _dissect(**answers: Any) -> Anatomy:
    block = Block(Mix())
    block.s, block.t = Gated(**answers), Gated(**answers)
    x = torch.randn(1, LENGTH, WIDTH, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    (call,) = record(lambda: block(x), {"layer": block}, arguments=True)
    return dissect(call)


@pytest.mark.parametrize(
    ("act", "name"),
    [(nn.functional.silu, "silu"), (nn.functional.gelu, "gelu"), (lambda x: x.relu().square(), "relu2")],
)
def test_a_gate_on_a_norm(act: Any, name: str) -> None:
    anatomy = _dissect(act=act)
    flow = find_dataflow(anatomy)
    assert flow.norm_roles == {"attention_norm": "s", "mlp_norm": "t"}
    for leaf in flow.norm_roles.values():
        norm = anatomy.leaves[leaf]
        assert isinstance(norm, NormLeaf)
        assert norm.gate is not None
        assert (norm.kind, norm.weight, norm.bias) == ("layer", "weight", "bias")
        assert (norm.gate.norm, norm.gate.down, norm.gate.up, norm.gate.width) == ("j", "k", "l", RANK)
        assert name in norm.gate.activations
        assert norm.gate.evidence.error < 1e-9
        assert norm.gate.evidence.runner_up_error > 1e-6


def test_a_plain_norm_has_no_gate() -> None:
    block = Block(Mix())
    x = torch.randn(1, LENGTH, WIDTH, dtype=torch.float64)
    (call,) = record(lambda: block(x), {"layer": block}, arguments=True)
    norms = [leaf for leaf in dissect(call).leaves.values() if isinstance(leaf, NormLeaf)]
    assert [norm.gate for norm in norms] == [None, None]


@pytest.mark.parametrize(
    ("form", "observed"),
    [
        (lambda x, y, z: x * z.sigmoid(), "sigmoid times the input"),
        (lambda x, y, z: 2 * y * z.sigmoid(), "twice the sigmoid"),
        (lambda x, y, z: y * (1 + z.tanh()), "1 \\+ tanh"),
    ],
)
def test_another_gate_on_a_norm_is_told_as_seen(form: Any, observed: str) -> None:
    with pytest.raises(UnresolvedError, match=f"gate on what a norm puts out: it is {observed}"):
        _dissect(form=form)


@pytest.mark.parametrize(
    "answers", [{"form": lambda x, y, z: y * torch.sigmoid(1.1 * z)}, {"act": lambda x: x.clamp(-1, 1)}, {"bias": True}]
)
def test_what_is_no_known_gate_is_taken_apart(answers: dict[str, Any]) -> None:
    """It is no leaf then, and where channels mix is seen as more than one block."""
    with pytest.raises(UnresolvedError):
        find_dataflow(_dissect(**answers))
