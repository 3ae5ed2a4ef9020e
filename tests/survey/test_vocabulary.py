"""Tokens that are embedded and never predicted, a head that nothing ties, and a width that gate and up share."""

import dataclasses
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from oddities import Change, Oddity
from transformers import LlamaForCausalLM

from levgen.reference.find import Found
from levgen.reference.tiny import tiny
from levgen.survey.config.field_map import FieldMap
from levgen.survey.config.measures import Measures
from levgen.survey.config.sizes import map_sizes
from levgen.survey.config.trials import Trial, Trials, begin
from levgen.survey.evidence import UnresolvedError
from levgen.survey.questions.vocabulary import find_vocabulary


def _rows(rows: Any) -> Change:
    """A token embedding of `rows(vocab_size)` rows."""

    def change(model: Any) -> None:
        model.model.embed_tokens = torch.nn.Embedding(rows(model.config.vocab_size), model.config.hidden_size)

    return change


def _plain(model: Any) -> None:
    """No change."""


def _found(change: Change, *, ties: bool) -> tuple[Trials, FieldMap]:
    """What a Llama with a change is found to be; where it never `ties`, whatever its config says."""
    base = LlamaForCausalLM if ties else type("Apart", (LlamaForCausalLM,), {"_tied_weights_keys": None})
    odd = Oddity("", change)
    found: Found = dataclasses.replace(odd, base=(odd.base[0], base)).found()
    trials, fields = begin(tiny(found)), FieldMap()
    find_vocabulary(trials, fields)
    return trials, fields


def test_a_row_after_the_vocabulary() -> None:
    _, fields = _found(_rows(lambda size: size + 1), ties=False)
    assert (fields.extra_rows, fields.never_tied) == (1, True)
    assert "tie_word_embeddings" in fields.ignored
    assert [e.question for e in fields.evidence] == ["rows of the embedding", "whether the head is tied"]


def test_a_vocabulary_that_is_rounded_up_is_unknown() -> None:
    with pytest.raises(UnresolvedError, match=r"rows of the embedding: \(vocabulary, rows\): \[\(131, 136\)"):
        _found(_rows(lambda size: -(-size // 8) * 8), ties=False)


def test_a_head_that_a_config_may_tie() -> None:
    _, fields = _found(_plain, ties=True)
    assert (fields.extra_rows, fields.never_tied, fields.ignored) == (0, False, {})


@pytest.mark.parametrize(
    ("share", "kind", "expected"),
    [(1, "gated", ("width", False)), (2, "gated", ("width", True)), (3, "gated", None), (2, "plain", None)],
)
def test_a_width_of_gate_and_up(share: int, kind: str, expected: tuple[str, bool] | None) -> None:
    """The MLP's width is a `share` of the field's."""

    def trial(width: int) -> Trial:
        measures = dataclasses.replace(_EMPTY, mlp_kind=kind, hidden_dim=77, intermediate_dim=width // share)
        return Trial({} if width == 60 else {"width": width}, {"width": width}, float("inf"), measures)

    trials: Any = Trials(None, {"width": 600}, None, None, trial(60), [trial(90), trial(120)])  # type: ignore[arg-type]
    fields = FieldMap()
    map_sizes(trials, fields)
    found = (fields.sizes.get("intermediate_dim"), fields.joint_width)
    assert found == (expected or (None, False))


_EMPTY = Measures(**dict.fromkeys(Measures.__dataclass_fields__))  # type: ignore[arg-type]


class _Refusing(Found):
    """A class whose config may not be tied."""

    def config(self, **changes: Any) -> Any:
        if changes.get("tie_word_embeddings"):
            raise ValueError("tie_word_embeddings is not supported")
        return super().config(**changes)


def test_a_head_that_a_config_refuses_to_tie() -> None:
    odd = Oddity("", _plain).found()
    trials = begin(tiny(_Refusing(odd.model_type, odd.config_class, odd.model_class, odd.values)))
    fields = FieldMap(fixed={"tie_word_embeddings": False})
    find_vocabulary(trials, fields)
    assert (fields.never_tied, fields.ignored) == (True, {})
