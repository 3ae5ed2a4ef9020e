"""What a sweep measures: random configs, files, equality with the reference, and growth with depth."""

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("torch", reason="the reference is in torch")

from levgen.architecture.catalogue import get
from levgen.architecture.schema import Architecture
from levgen.reference.find import find_type
from levgen.reference.tiny import Tiny, tiny
from levgen.scaffold.complete import complete
from levgen.scaffold.project import project_files
from levgen.survey.port import load_port
from levgen.survey.sweep import columns
from levgen.survey.sweep.draw import Draw, draw, hf_fields


def _subject(model_type: str, **answers: Any) -> tuple[Architecture, Any, Tiny]:
    """The card of a type with other answers, its module, and the reference's tiny config."""
    card = get(model_type)
    for group, changes in answers.items():
        card = card.changed(**{group: getattr(card, group).changed(**changes)})
    architecture = complete(card)
    return architecture, load_port(architecture), tiny(find_type(model_type))


@pytest.fixture(scope="module")
def gemma() -> tuple[Architecture, Any, Tiny]:
    return _subject("gemma3_text")


def test_a_draw_is_of_mapped_fields_and_the_same_every_time(gemma: tuple[Architecture, Any, Tiny]) -> None:
    architecture, port, small = gemma
    first, again, other = (draw(architecture, port, small, seed) for seed in ("a", "a", "b"))
    assert first == again
    assert first != other
    assert len(first["layer_types"]) == first["num_hidden_layers"]
    assert first["num_attention_heads"] % first["num_key_value_heads"] == 0
    read = {p.hf.partition(".")[0] for p in architecture.hyperparameters.values() if p.hf is not None}
    assert first.keys() == other.keys() == read


def test_draws_reach_what_a_config_can_say(gemma: tuple[Architecture, Any, Tiny]) -> None:
    architecture, port, small = gemma
    drawn = [draw(architecture, port, small, str(seed)) for seed in range(12)]
    for name in ("hidden_size", "head_dim", "num_key_value_heads", "sliding_window", "num_hidden_layers"):
        assert len({fields[name] for fields in drawn}) > 2, name
    for switch in ("tie_word_embeddings", "attention_bias"):
        assert {fields[switch] for fields in drawn} == {True, False}
    assert {fields["final_logit_softcapping"] is None for fields in drawn} == {True, False}
    kinds = {fields["rope_parameters"]["full_attention"]["rope_type"] for fields in drawn}
    assert len(kinds) > 2


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.data())
def test_groups_of_experts_that_may_be_none_are_drawn_together(data: st.DataObject) -> None:
    architecture = complete(get("axk2"))
    sizes = {name: p.default for name, p in architecture.hyperparameters.items() if p.default is None}
    base = SimpleNamespace(num_experts=12, **sizes)
    drawer = Draw(architecture, base, data)
    for experts in (12, 14, 16):
        drawn = drawer._groups({"num_experts": experts})
        groups, kept = (drawn.get(name) for name in ("num_expert_groups", "num_kept_groups"))
        assert (groups is None) == (kept is None)
        if groups is not None and kept is not None:
            assert experts % groups == 0
            assert experts // groups > 1
            assert 1 <= kept <= groups


def test_growth_is_that_of_a_scan() -> None:
    architecture, port, small = _subject("llama")
    assert columns.growth(architecture, port, small) == 1.0


def test_lists_by_layer_grow_with_the_depth(gemma: tuple[Architecture, Any, Tiny]) -> None:
    architecture, port, small = gemma
    base = port.SurveyedConfig.from_hf_config(small.config())
    deep = dataclasses.replace(base, **columns.deepened(architecture, base, 7))
    assert deep.layer_types == (*base.layer_types, *base.layer_types)[:7]
    assert hf_fields(architecture, deep)["num_hidden_layers"] == 7


@pytest.mark.slow
def test_a_wrong_answer_is_no_green_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rotations that pair other dimensions: the same tensors, other logits."""
    monkeypatch.setattr(columns, "DRAWS", 0)
    columns.write(tmp_path, project_files(tmp_path))
    said: list[dict[str, Any]] = []
    card = get("llama")
    wrong = card.changed(positions=card.positions.changed(layout="interleaved"))
    for architecture, green in ((card, True), (wrong, False)):
        found = columns.measure_columns(architecture, tiny(find_type("llama")), tmp_path, said.append)
        assert columns.is_green(found) is green
        assert found["generation"] == ""
        assert found["configs"][0]["round_trip"] == ""
    assert found["configs"][0]["forward"] > 1e-2
    assert said[-1] == found


@pytest.mark.slow
def test_gradients_are_of_the_loss_of_routers_too() -> None:
    architecture, port, small = _subject("mixtral")
    balanced = {"output_router_logits": True, "router_aux_loss_coef": 0.5}
    error, dead = columns.pair(architecture, port, small, balanced).gradient_error()
    assert error <= columns.GRADIENTS
    assert dead == ()
