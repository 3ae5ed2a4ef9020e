"""Climbing: order, what is needed, and what one failure means for the rest."""

import equinox as eqx
import pytest

from levgen.errors import LevgenError
from levgen.prove.bench import Bench
from levgen.prove.ladder import LADDER, chosen, climb
from levgen.prove.outcome import Status
from levgen.prove.rungs.round_trip import round_trip
from levgen.runtime import save_hf


def climbed(bench: Bench, *names: str) -> dict[str, Status]:
    return {step.rung.name: step.outcome.status for step in climb(bench, chosen(names))}


def test_a_rung_brings_those_that_it_needs_in_order():
    assert [rung.name for rung in chosen(["forward"])] == ["imports", "traces", "parameters", "forward"]
    assert chosen([]) == list(LADDER)


def test_an_unknown_rung_names_the_nearest():
    with pytest.raises(LevgenError, match="did you mean 'forward'"):
        chosen(["foward"])


def test_a_right_model_passes(subject):
    names = ("axes", "parameters", "modules", "round-trip", "cache")
    outcomes = climbed(Bench(subject("gpt2")), *names)
    assert set(outcomes.values()) == {Status.PASSED}


@pytest.mark.slow
def test_a_model_whose_layers_are_not_all_alike_passes(subject):
    """Its layers are in two runs, and what enters its head is not what the model puts out."""
    outcomes = climbed(Bench(subject("modernbert_decoder")), "axes", "modules")
    assert set(outcomes.values()) == {Status.PASSED}


@pytest.mark.parametrize(
    ("rung", "right", "wrong", "reason"),
    [
        ("imports", "import haliax as hax", "import haliax as hax\nimport transformers", "imports transformers"),
        ("traces", "return h + self.mlp", "return h.rename({'embed': 'x'}) + self.mlp", "at tiny size"),
        ("cache", "AttentionMask.of(attn_mask)", "AttentionMask()", "one token at a time"),
        ("axes", 'Axis("heads", ', 'Axis("mlp", ', "the axis 'mlp' has the sizes"),
        ("parameters", '"norm": "ln_f"', '"norm": "ln_g"', "TINY"),
        ("modules", "self.wpe(pos_ids)", "self.wpe(pos_ids + 1)", "<embeddings>"),
        ("masks", "AttentionMask.of(attn_mask)", "AttentionMask()", "a token changes what comes before it"),
        ("initialisation", "std / (2 * config.num_layers) ** 0.5", "std", "c_proj.weight"),
    ],
)
def test_a_wrong_model_fails(subject, rung, right, wrong, reason):
    source = subject("gpt2").source
    assert right in source
    bench = Bench(subject("gpt2", source.replace(right, wrong)))
    ended = {step.rung.name: step.outcome for step in climb(bench, chosen([rung]))}
    failures = {name: outcome for name, outcome in ended.items() if outcome.status is Status.FAILED}
    assert failures, ended
    assert reason in str([outcome.line for outcome in failures.values()])


def test_other_bits_in_a_file_fail(subject, monkeypatch):
    def save_with_a_slip(model, folder, **options):
        slipped = eqx.tree_at(
            lambda model: model.embeddings.wte.weight, model, replace_fn=lambda weight: weight * 1.001
        )
        save_hf(slipped, folder, **options)

    monkeypatch.setattr("levgen.prove.rungs.round_trip.save_hf", save_with_a_slip)
    outcome = round_trip(Bench(subject("gpt2")))
    assert outcome.status is Status.FAILED
    assert "transformer.wte.weight" in outcome.reason


def test_what_needs_a_broken_rung_is_skipped(subject):
    source = subject("gpt2").source.replace("return h + self.mlp", "return undefined + self.mlp")
    outcomes = {step.rung.name: step.outcome for step in climb(Bench(subject("gpt2", source)), chosen(["forward"]))}
    assert outcomes["traces"].status is Status.FAILED
    assert outcomes["forward"].status is Status.SKIPPED
    assert outcomes["forward"].reason == "traces failed"


def test_without_torch_comparisons_are_skipped_and_the_rest_runs(subject):
    bench = Bench(subject("gpt2"))
    bench.missing = "torch is not installed"
    outcomes = {step.rung.name: step.outcome for step in climb(bench, chosen(["modules", "axes"]))}
    assert outcomes["modules"].reason == "torch is not installed"
    assert outcomes["axes"].status is Status.PASSED


@pytest.mark.slow
@pytest.mark.parametrize("model", ["llama", "gpt2", "gemma2", "olmo2"])
def test_every_rung_of_a_generated_model_holds(subject, model):
    outcomes = climbed(Bench(subject(model)))
    assert {name for name, status in outcomes.items() if status is Status.SKIPPED} <= {"checkpoint", "devices"}
    assert Status.FAILED not in outcomes.values()
