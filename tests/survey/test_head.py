"""The head as the survey finds it: a module, or a product with the embedding's matrix that no module makes."""

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from levgen.reference.randomize import randomized, token_ids
from levgen.survey.evidence import UnresolvedError
from levgen.survey.observe.chain import find_chain
from levgen.survey.observe.shapes import LENGTH
from levgen.survey.questions.outside import Head, find_embeddings, find_head, find_outside

VOCAB, WIDTH = 67, 24


class Layer(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = torch.nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Any) -> Any:
        return x + self.inner(x)


class Model(torch.nn.Module):
    """Layers between an embedding and what `logits` makes of the normed hidden states and the embedding's matrix."""

    def __init__(self, logits: Any) -> None:
        super().__init__()
        self.table = torch.nn.Embedding(VOCAB, WIDTH)
        self.layers = torch.nn.ModuleList([Layer(), Layer()])
        self.norm = torch.nn.LayerNorm(WIDTH)
        self.logits = logits

    def forward(self, ids: Any) -> Any:
        x = self.table(ids)
        for layer in self.layers:
            x = layer(x)
        return self.logits(self.norm(x), self.table.weight)


def _head(logits: Any) -> Head:
    model = randomized(Model(logits).double())
    ids = token_ids(VOCAB, LENGTH)
    outside = find_outside(model, find_chain(model, lambda: model(ids)), ids)
    return find_head(outside, find_embeddings(outside))


class Transformed(torch.nn.Module):
    """The end of a model with a linear map of its own, `between` it and the head, and the head."""

    def __init__(self, between: Any, *, normed: bool = True, added: bool = False) -> None:
        super().__init__()
        self.dense, self.norm = torch.nn.Linear(WIDTH, WIDTH), torch.nn.LayerNorm(WIDTH) if normed else None
        self.out = torch.nn.Linear(WIDTH, VOCAB, bias=False)
        self.between, self.added = between, added

    def forward(self, x: Any, matrix: Any) -> Any:
        y = self.between(self.dense(x)) + (x if self.added else 0.0)
        return self.out(y if self.norm is None else self.norm(y))


@pytest.mark.parametrize("normed", [True, False])
def test_a_transform_before_the_head(normed: bool) -> None:
    head = _head(Transformed(torch.nn.functional.gelu, normed=normed))
    assert head.transform is not None
    assert (head.norm, head.head, head.scale, head.tied) == ("norm", "logits.out", 1.0, False)
    assert (head.transform.dense, head.transform.bias) == ("logits.dense", True)
    assert head.transform.norm == ("logits.norm" if normed else None)
    assert "gelu" in head.transform.activations


@pytest.mark.parametrize(
    "logits",
    [
        Transformed(lambda x: x * torch.sigmoid(1.6 * x)),
        Transformed(lambda x: torch.relu(x).clamp(max=20)),
        Transformed(torch.relu, added=True),
        Transformed(lambda x: torch.relu(x.flip(-1))),
        Transformed(lambda x: x + torch.nn.functional.pad(x, (0, 0, 1, 0))[:, :-1]),
    ],
    ids=["of another slope", "that stops", "around which the hidden states go", "in another order", "by position"],
)
def test_another_transform_is_unknown(logits: Any) -> None:
    with pytest.raises(UnresolvedError, match="before the head"):
        _head(logits)


def test_the_embedding_is_the_head() -> None:
    head = _head(lambda x, matrix: x @ matrix.T)
    assert (head.norm, head.tied, head.bias, head.scale, head.softcap) == ("norm", True, False, 1.0, None)


@pytest.mark.parametrize(
    "logits",
    [
        lambda x, matrix: 0.5 * x @ matrix.T,
        lambda x, matrix: 150 * torch.tanh(x @ matrix.T / 150),
        lambda x, matrix: (x @ matrix.T).clamp(-100, 100),
        lambda x, matrix: x @ matrix.T + 1.0,
        lambda x, matrix: x @ matrix.flip(0).T,
    ],
    ids=["scaled", "capped", "clamped", "shifted", "another order"],
)
def test_anything_else_is_unknown(logits: Any) -> None:
    with pytest.raises(UnresolvedError, match="head"):
        _head(logits)
