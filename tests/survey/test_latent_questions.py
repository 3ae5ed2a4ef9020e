"""Latent attention taken apart, on modules whose names say nothing; and what is unlike the known one is unknown."""

import math
from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from attentions import (
    CHOSEN,
    HEADS,
    INDEX_DIM,
    INDEX_HEADS,
    OWN,
    Q_RANK,
    RANK,
    SHARED,
    VALUE,
    WIDTH,
    Block,
    ChoosyMix,
    LowMix,
    ToldMix,
)

from levgen.reference.record import record
from levgen.survey.evidence import Evidence, UnresolvedError
from levgen.survey.observe.anatomy import Anatomy, dissect
from levgen.survey.observe.shapes import LENGTH
from levgen.survey.questions.channels import Roles
from levgen.survey.questions.dataflow import Dataflow, find_dataflow
from levgen.survey.questions.indexer import Indexer, find_indexer, find_shared_choice
from levgen.survey.questions.output_gate import OutputGate, find_output_gate
from levgen.survey.questions.roles import find_roles, likely_roles
from levgen.survey.questions.scores import Scores, find_scores, likely_scores


def _dissect(mix: Any = LowMix, **answers: Any) -> Anatomy:
    block = Block(mix(**answers))
    x = torch.randn(1, LENGTH, WIDTH, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    (call,) = record(lambda: block(x), {"layer": block}, arguments=True)
    return dissect(call)


def _attention(**answers: Any) -> tuple[Dataflow, Roles, Scores]:
    anatomy = _dissect(**answers)
    flow = find_dataflow(anatomy)
    roles = find_roles(anatomy, flow.attention_core)
    return flow, roles, find_scores(anatomy, roles)


def test_maps_down_and_up_are_told_from_each_other() -> None:
    flow, roles, scores = _attention()
    assert (flow.attention_inputs, flow.attention_output, flow.norms) == (("m.a", "m.c"), "m.e", "pre")
    assert roles.latent is not None
    assert roles.latent.queries is not None
    assert (roles.latent.queries.down, roles.latent.queries.norm, roles.latent.queries.up) == ("m.a", "m.n", "m.b")
    assert (roles.latent.keys.down, roles.latent.keys.norm, roles.latent.keys.up) == ("m.c", "m.o", "m.d")
    assert (len(roles.latent.queries.columns), len(roles.latent.keys.columns)) == (Q_RANK, RANK)
    assert (roles.latent.own, roles.latent.shared, roles.value_dim) == (OWN, SHARED, VALUE)
    assert (roles.heads, roles.kv_heads, roles.head_dim) == (HEADS, HEADS, OWN + SHARED)
    assert scores.scale == pytest.approx((OWN + SHARED) ** -0.5)
    assert scores.frequencies == pytest.approx([500.0 ** (-i / 3) for i in range(3)], rel=1e-6)


def test_queries_of_full_rank() -> None:
    flow, roles, _ = _attention(low=False)
    assert flow.attention_inputs == ("m.b", "m.c")
    assert roles.latent is not None
    assert roles.latent.queries is None


@pytest.mark.parametrize("layout", ["half", "interleaved"])
def test_the_shared_part_turns(layout: str) -> None:
    _, _, scores = _attention(layout=layout)
    assert (scores.layout, len(scores.frequencies)) == (layout, SHARED // 2)


def test_what_cosine_and_sine_are_multiplied_by_is_told_from_the_scale() -> None:
    _, _, scores = _attention(stretch=1.3)
    assert scores.rotary_scaling == pytest.approx(1.3, rel=1e-5)
    assert scores.scale == pytest.approx((OWN + SHARED) ** -0.5, rel=1e-5)


def test_channels_are_filled_and_split_alike() -> None:
    _, roles, _ = _attention()
    generator = torch.Generator().manual_seed(1)
    q, k = (torch.randn(LENGTH, HEADS, OWN + SHARED, dtype=torch.float64, generator=generator) for _ in range(2))
    v = torch.randn(LENGTH, HEADS, VALUE, dtype=torch.float64, generator=generator)
    k[:, :, :SHARED] = k[:, :1, :SHARED]  # which all heads share
    for part, again in zip((q, k, v), roles.split(roles.fill(q, k, v)), strict=True):
        assert torch.equal(part, again)


@pytest.mark.parametrize(
    ("twist", "observed"),
    [
        ("a map of its own", "the rest of a key beside that vector"),
        ("no norm", "columns of another output"),
        ("a factor", "read different tensors"),
        ("values first", "numbers of a key and"),
        ("shared part first", "scale: scores"),
        ("own part turns", "rotate"),
        ("scale by head", "differs by head"),
    ],
)
def test_what_is_unlike_the_known_one_is_unknown(twist: str, observed: str) -> None:
    with pytest.raises(UnresolvedError, match=observed):
        _attention(twist=twist)


def test_nothing_turns() -> None:
    _, _, scores = _attention(twist="nothing turns")
    assert scores.layout is None
    assert math.isclose(scores.scale, (OWN + SHARED) ** -0.5, rel_tol=1e-6)


@pytest.mark.parametrize(
    "answers", [{}, {"low": False}, {"layout": "interleaved"}, {"stretch": 1.3}, {"joined": True}], ids=str
)
def test_an_attention_is_known_again(answers: dict[str, Any]) -> None:
    _, roles, scores = _attention(**answers)
    mix = LowMix(**answers)
    for matrix in (parameter for parameter in mix.parameters() if parameter.dim() == 2):
        torch.nn.init.normal_(matrix, std=0.3)
    anatomy = _dissect(lambda: mix)
    core = find_dataflow(anatomy).attention_core
    assert likely_roles(anatomy, core, roles) == roles
    assert likely_scores(anatomy, roles, scores) == scores


@pytest.mark.parametrize(
    "answers",
    [
        {"layout": "interleaved"},
        {"stretch": 1.0001},
        *(
            {"twist": twist}
            for twist in ("values first", "shared part first", "own part turns", "scale by head", "nothing turns")
        ),
    ],
    ids=str,
)
def test_another_attention_is_not_taken_for_a_known_one(answers: dict[str, Any]) -> None:
    _, roles, scores = _attention()
    anatomy = _dissect(**answers)
    likely = likely_roles(anatomy, find_dataflow(anatomy).attention_core, roles)
    assert likely is not None
    assert likely_scores(anatomy, likely, scores) is None


@pytest.mark.parametrize("answers", [{"low": False}, {"joined": True}, {"twist": "a map of its own"}], ids=str)
def test_other_maps_around_the_vector_have_other_roles(answers: dict[str, Any]) -> None:
    _, roles, _ = _attention()
    anatomy = _dissect(**answers)
    assert likely_roles(anatomy, find_dataflow(anatomy).attention_core, roles) is None


def _gated(**answers: Any) -> tuple[Dataflow, OutputGate, Roles, Scores]:
    anatomy = _dissect(**answers)
    flow = find_dataflow(anatomy)
    gate = find_output_gate(anatomy, flow.attention_core)
    assert gate is not None
    opened, core = gate.opened(anatomy, flow.attention_core)
    roles = find_roles(opened, core)
    return flow, gate, roles, find_scores(opened, roles)


@pytest.mark.parametrize("joined", [False, True])
@pytest.mark.parametrize("name", ["sigmoid", "softplus"])
def test_a_gate_beside_the_query_of_each_head(name: str, joined: bool) -> None:
    function = {"sigmoid": torch.sigmoid, "softplus": torch.nn.functional.softplus}[name]
    flow, gate, roles, scores = _gated(gate=function, joined=joined)
    assert flow.attention_inputs == ("m.a", "m.c")
    each = OWN + SHARED + VALUE
    assert (gate.leaf, gate.function, gate.per) == ("m.b", name, 1)
    assert gate.columns == tuple(h * each + OWN + SHARED + d for h in range(HEADS) for d in range(VALUE))
    assert roles.latent is not None
    assert roles.latent.queries is not None
    assert roles.latent.queries.joined is joined
    assert (roles.heads, roles.head_dim, roles.value_dim) == (HEADS, OWN + SHARED, VALUE)
    assert scores.scale == pytest.approx((OWN + SHARED) ** -0.5)


def test_a_gate_of_another_function_beside_queries_is_unknown() -> None:
    with pytest.raises(UnresolvedError, match="gate on what attention puts out"):
        _gated(gate=torch.tanh)


def test_a_gate_before_each_query_is_seen_as_such() -> None:
    _, gate, _, _ = _gated(gate=torch.sigmoid, twist="gates first")
    assert gate.columns is not None
    assert gate.columns[:VALUE] == tuple(range(VALUE))


def test_a_vector_as_it_is_before_what_it_is_normed_to_is_unknown() -> None:
    with pytest.raises(UnresolvedError):
        _attention(joined=True, twist="as it is first")


def test_a_gate_takes_part_in_what_is_seen_of_chosen_keys() -> None:
    anatomy = _dissect(ChoosyMix, gate=torch.sigmoid, joined=True)
    flow = find_dataflow(anatomy)
    gate = find_output_gate(anatomy, flow.attention_core)
    assert gate is not None
    opened, core = gate.opened(anatomy, flow.attention_core)
    roles = find_roles(opened, core)
    found = find_indexer(opened, flow, roles, find_scores(opened, roles), gate.factor(anatomy))
    assert found is not None
    assert found.evidence[1].error < 1e-6


def _indexer(**answers: Any) -> Indexer | None:
    anatomy = _dissect(ChoosyMix, **answers)
    flow = find_dataflow(anatomy)
    roles = find_roles(anatomy, flow.attention_core)
    return find_indexer(anatomy, flow, roles, find_scores(anatomy, roles))


@pytest.mark.parametrize("layout", ["half", "interleaved"])
def test_what_chooses_keys_is_told_from_attention(layout: str) -> None:
    found = _indexer(layout=layout)
    assert found is not None
    assert (found.name, found.q, found.k, found.k_norm, found.weights) == ("m.z", "j", "k", "l", "w")
    assert (found.heads, found.head_dim, found.count, found.layout) == (INDEX_HEADS, INDEX_DIM, CHOSEN, layout)
    assert found.eps == pytest.approx(1e-4, rel=1e-2)
    form, seen = found.evidence
    assert (form.chosen, form.error) == (f"{layout}, relu, weighed", 0.0)
    assert form.runner_up_error > 1e-2
    assert seen.error < 1e-6
    assert seen.runner_up_error > 1e-2


def test_attention_around_what_chooses_is_as_if_nothing_did() -> None:
    anatomy = _dissect(ChoosyMix)
    roles = find_roles(anatomy, find_dataflow(anatomy).attention_core)
    assert find_scores(anatomy, roles).scale == pytest.approx((OWN + SHARED) ** -0.5)
    plain = _dissect()
    assert plain.chooser is None
    assert find_indexer(plain, find_dataflow(plain), roles, find_scores(anatomy, roles)) is None


class _Told(Block):
    """A layer that is given which keys are seen."""

    def forward(self, x: Any, chosen: Any = None) -> Any:
        self.m.chosen = chosen
        return super().forward(x)


def _shared_choice(before: Any = None, **answers: Any) -> Evidence | None:
    """What is found in a layer that is given a choice. `before`: what is done with it to get the earlier layer's."""
    block = _Told(ToldMix(**answers))
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(1, LENGTH, WIDTH, dtype=torch.float64, generator=generator)
    seen = torch.rand(1, LENGTH, LENGTH, generator=generator).tril()
    chosen = seen.topk(CHOSEN, dim=-1).indices
    (call,) = record(lambda: block(x, chosen=chosen), {"layer": block}, arguments=True)
    anatomy = dissect(call)
    roles = find_roles(anatomy, find_dataflow(anatomy).attention_core)
    made = chosen if before is None else before(chosen)
    return find_shared_choice(anatomy, roles, find_scores(anatomy, roles), made)


def test_keys_that_were_chosen_before_are_seen() -> None:
    found = _shared_choice()
    assert found is not None
    assert found.error < 1e-6
    assert found.runner_up_error > 1e-2


@pytest.mark.parametrize(
    ("before", "twist", "observed"),
    [
        (None, "shifted", "attention of the chosen ones alone is off"),
        (None, "ignored", "attention of the chosen ones alone is off"),
        (lambda chosen: chosen.flip(-1), None, "a choice that none before it made"),
    ],
)
def test_another_choice_is_unknown(before: Any, twist: str | None, observed: str) -> None:
    with pytest.raises(UnresolvedError, match=observed):
        _shared_choice(before, twist=twist)


@pytest.mark.parametrize(
    ("answers", "observed"),
    [
        ({"form": "linear"}, "by half, linear, weighed, where relu, weighed is known"),
        ({"form": "softmax"}, "no candidate reproduces"),
        ({"offset": 2}, "by half of the last, relu, weighed"),
        ({"offset": 1}, "no candidate reproduces"),
        ({"bias": True}, "each with a map of its own"),
    ],
)
def test_what_chooses_in_another_way_is_unknown(answers: dict[str, Any], observed: str) -> None:
    with pytest.raises(UnresolvedError, match=observed):
        _indexer(**answers)
