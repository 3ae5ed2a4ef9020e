"""What a mixture of experts is, found by experiment on modules whose names say nothing; what is none stays unknown."""

from typing import Any

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from mixtures import CHOSEN, EXPERTS, INNER, WIDTH, Holder, Many

from levgen.reference.record import record
from levgen.survey.evidence import UnresolvedError
from levgen.survey.mixture.gating import Clamped
from levgen.survey.mixture.whole import Mixture, find_mixture
from levgen.survey.observe.shapes import LENGTH


def _found(**answers: Any) -> Mixture | None:
    holder = Holder(Many(**answers))
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(1, LENGTH, WIDTH, generator=generator, dtype=torch.float64)
    modules = {name: module for name, module in holder.named_modules() if name}
    calls = record(lambda: holder(x), modules, arguments=True)
    return find_mixture(holder, {name: [c for c in calls if c.name == name] for name in modules})


def _mixture(**answers: Any) -> Mixture:
    found = _found(**answers)
    assert found is not None
    return found


@pytest.mark.parametrize(
    "answers",
    [
        {},
        {"normalized": False},
        {"scores": "sigmoid", "scale": 2.5},
        {"scores": "sigmoid", "normalized": False, "correction": "scores"},
        {"scores": "sigmoid", "correction": "logits"},
        {"bias": True},
        {"over": 2.0},
        {"over": 0.7, "scores": "sigmoid", "correction": "scores"},
    ],
)
def test_the_equation_of_a_router(answers: dict[str, Any]) -> None:
    router = _mixture(**answers).router
    assert (router.weight, router.chosen) == ("r.weight", CHOSEN)
    assert router.scores == answers.get("scores", "softmax")
    assert router.normalized == answers.get("normalized", True)
    assert router.scale == pytest.approx(answers.get("scale", 1.0))
    assert router.bias == ("r.bias" if answers.get("bias") else None)
    assert router.correction == ("c" if answers.get("correction") else None)
    assert router.correction_of == answers.get("correction", "scores")
    assert router.groups == (1, 1)
    assert router.order == answers.get("over", 1.0)


@pytest.mark.parametrize("jitter", [0.01, 0.15])
def test_experts_chosen_one_after_the_other(jitter: float) -> None:
    router = _mixture(jitter=jitter, bias=True).router
    assert (router.scores, router.chosen, router.normalized) == ("sparse_mixer", 2, False)
    assert router.jitter == pytest.approx(jitter, rel=1e-5)
    assert router.bias == "r.bias"


def test_choices_that_share_otherwise_are_unknown() -> None:
    with pytest.raises(UnresolvedError, match="how a router weighs experts"):
        _found(jitter=0.15, twist="rooted")


@pytest.mark.parametrize("correction", [None, "scores"])
def test_groups_of_which_the_best_are_kept(correction: str | None) -> None:
    router = _mixture(scores="sigmoid", groups=4, kept=2, correction=correction).router
    assert (router.groups, router.other_groups) == ((4, 2), "never")


@pytest.mark.parametrize("kept", [1, 2])
def test_experts_of_other_groups_that_count_as_zero(kept: int) -> None:
    """Some of those that are kept count as less than 0, with these biases: then others are chosen."""
    found = _mixture(scores="sigmoid", groups=3, kept=kept, correction="scores", others=0.0)
    assert (found.router.groups, found.router.other_groups) == ((3, kept), "zero")
    evidence = next(e for e in found.evidence if e.question == "experts of groups that aren't kept")
    assert evidence.error == 0.0
    assert evidence.runner_up_error > 0.1


def test_experts_of_other_groups_that_count_as_something_else_are_unknown() -> None:
    with pytest.raises(UnresolvedError, match="experts of groups that aren't kept"):
        _found(scores="sigmoid", groups=3, kept=2, correction="scores", others=-0.2)


@pytest.mark.parametrize(
    "answers", [{}, {"order": "turns"}, {"transposed": True}, {"order": "turns", "transposed": True, "biases": True}]
)
def test_how_experts_lie_in_one_tensor(answers: dict[str, Any]) -> None:
    found = _mixture(**answers)
    expert = found.experts.expert
    assert (found.bank.name, found.bank.holder, found.bank.count, found.bank.stacked) == ("q", "e", EXPERTS, True)
    assert (expert.gate_up, expert.down, expert.width, expert.gate_first) == (("u",), "w", INNER, True)
    assert expert.interleaved == (answers.get("order") == "turns")
    assert expert.transposed == answers.get("transposed", False)
    assert expert.biases == (("y", "z") if answers.get("biases") else ())
    assert "silu" in found.experts.activations


def test_rows_of_all_experts_in_one_matrix() -> None:
    found = _mixture(stored="flat", over=1.5)
    expert = found.experts.expert
    assert (found.bank.name, found.bank.holder, found.bank.count, found.bank.flat) == ("q", "e", EXPERTS, True)
    assert (expert.gate_up, expert.down, expert.width) == (("l", "m"), "n", INNER)
    assert (expert.transposed, expert.down_transposed) == (False, True)


@pytest.mark.parametrize("layout", [{}, {"order": "turns", "transposed": True, "biases": True}])
def test_gates_that_are_cut_to_a_limit(layout: dict[str, Any]) -> None:
    found = _mixture(cut=(1.3, 0.7), shared="plain", scores="sigmoid", **layout)
    assert found.experts.clamped == Clamped(alpha=1.3, limit=0.7)
    assert found.experts.activations == ()
    assert found.shared is not None
    assert "silu" in found.activations


def test_gates_that_are_cut_otherwise_are_unknown() -> None:
    with pytest.raises(UnresolvedError, match="what an expert computes"):
        _found(cut=(1.3, 0.7), more=0.5)


def test_experts_that_are_modules() -> None:
    found = _mixture(stored="each")
    assert not found.bank.stacked
    assert found.experts.expert.gate_up == ("g.weight", "h.weight")
    assert found.experts.expert.down == "i.weight"


@pytest.mark.parametrize("shared", ["plain", "gated"])
def test_an_expert_that_every_token_goes_to(shared: str) -> None:
    found = _mixture(shared=shared).shared
    assert found is not None
    assert (found.gate, found.up, found.down) == ("s.g.weight", "s.h.weight", "s.i.weight")
    assert found.through == ("t.weight" if shared == "gated" else None)


def test_a_norm_after_all_of_it() -> None:
    found = _mixture(scores="sigmoid", correction="scores", groups=4, kept=2, shared="plain", after=1.0)
    norm = found.bank.norm
    assert norm is not None
    assert (norm.name, norm.leaf.kind, norm.leaf.weight) == ("n", "rms", "weight")
    assert norm.leaf.eps == pytest.approx(1e-4, rel=1e-3)
    assert found.router.groups == (4, 2)
    assert found.shared is not None
    assert _mixture().bank.norm is None


def test_more_after_a_norm_is_unknown() -> None:
    with pytest.raises(UnresolvedError, match="what an expert computes"):
        _found(after=1.5)


@pytest.mark.parametrize(
    ("twist", "question"),
    [
        ("squared", "how a router weighs experts"),
        ("capped", "how a router weighs experts"),
    ],
)
def test_what_no_candidate_gives_is_unknown(twist: str, question: str) -> None:
    with pytest.raises(UnresolvedError) as error:
        _found(scores="sigmoid", twist=twist)
    assert error.value.unknown.question == question


@pytest.mark.parametrize(
    "answers",
    [
        {"scores": "sigmoid", "normalized": False, "transposed": True, "shared": "plain"},
        {"scores": "softmax", "scale": 1.7, "stored": "each"},
    ],
)
def test_weights_that_multiply_what_goes_into_an_expert(answers: dict[str, Any]) -> None:
    found = _mixture(twist="input", **answers)
    assert (found.experts.weighs, found.router.scores) == ("input", answers["scores"])
    assert found.router.normalized == answers.get("normalized", True)
    assert found.router.scale == pytest.approx(answers.get("scale", 1.0))
    assert "what a router's weight multiplies" in [entry.question for entry in found.evidence]
    assert _mixture().experts.weighs == "output"


def test_an_experiment_leaves_the_module_as_it_was() -> None:
    many = Many(correction="scores")
    before = {name: tensor.clone() for name, tensor in many.state_dict().items()}
    holder = Holder(many)
    x = torch.randn(1, LENGTH, WIDTH, dtype=torch.float64)
    modules = {name: module for name, module in holder.named_modules() if name}
    calls = record(lambda: holder(x), modules, arguments=True)
    find_mixture(holder, {name: [c for c in calls if c.name == name] for name in modules})
    assert all(torch.equal(tensor, before[name]) for name, tensor in many.state_dict().items())


def test_a_plain_layer_has_no_mixture() -> None:
    layer = torch.nn.Sequential(torch.nn.Linear(WIDTH, EXPERTS), torch.nn.Linear(EXPERTS, WIDTH))
    assert find_mixture(layer, {}) is None
