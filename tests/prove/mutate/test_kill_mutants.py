"""Seeded faults and the project's tests: who notices, who doesn't, and what is equivalent."""

import dataclasses
from pathlib import Path

import pytest

from levgen.errors import LevgenError
from levgen.prove.mutate import run
from levgen.prove.mutate.equivalence import Comparison
from levgen.prove.mutate.find import mutations
from levgen.prove.mutate.kill import Suite
from levgen.prove.outcome import Status
from levgen.prove.subject import find_files, load_subject

WPE = "self.wte(input_ids) + self.wpe(pos_ids)"
# Suite that are quick, and blind to all but the embeddings.
TESTS = """
import equinox as eqx
import haliax as hax
import jax
from haliax import Axis
from levgen.runtime.parity import Ported
from levgen.runtime.testing import relative_error

from models.gpt2 import Gpt2Config, Gpt2LMHeadModel

TINY = Gpt2Config(max_seq_len=70, hidden_dim=16, intermediate_dim=24, num_layers=2, num_heads=2, norm_eps=0.001)
Vocab = Axis("vocab", 31)


def test_embeddings_equal_reference() -> None:
    ported = Ported.random(Gpt2LMHeadModel, TINY, Vocab)
    tokens = hax.named(jax.numpy.arange(20).reshape(2, 10), ("batch", "position"))
    expected, _ = ported.record(tokens, "transformer.h.0")
    ours = ported.model.embeddings(tokens, hax.arange(Axis("position", 10)))
    assert relative_error(ours, expected) < 1e-5
"""


@pytest.fixture
def blind(project: Path) -> Path:
    (project / "tests" / "test_gpt2.py").write_text(TESTS)
    return project


def test_a_fault_is_noticed_or_not_by_the_tests_that_there_are(blind: Path) -> None:
    files = find_files("gpt2", blind)
    source = files.model.read_text()
    tests = Suite(files, source)
    assert tests.count == 1
    noticed = tests.verdict(source.replace(WPE, "self.wte(input_ids) - self.wpe(pos_ids)"), "operation")
    assert noticed.test == "test_embeddings_equal_reference"
    assert tests.verdict(source.replace("return h + self.mlp", "return self.mlp"), "residual").test is None
    assert (
        tests.verdict(source.replace("import haliax as hax", "import haliax_of_old"), "x").test == "import of the model"
    )
    assert tests.verdict(source, "none").test is None, "what was there before is there again"


def test_tests_that_fail_anyway_are_refused(blind: Path) -> None:
    path = blind / "tests" / "test_gpt2.py"
    path.write_text(path.read_text() + "\n\ndef test_always_fails() -> None:\n    assert False, 'as ever'\n")
    files = find_files("gpt2", blind)
    with pytest.raises(LevgenError, match="doesn't pass without any fault: test_always_fails: AssertionError: as ever"):
        Suite(files, files.model.read_text())


def test_a_change_of_the_function_is_told_from_one_of_the_text(blind: Path) -> None:
    loaded = load_subject(find_files("gpt2", blind))
    unedited = Comparison(loaded)
    assert unedited.change(loaded.source.replace(WPE, "self.wpe(pos_ids) + self.wte(input_ids)")) is None
    assert unedited.change(loaded.source.replace("gradient_checkpointing=True", "gradient_checkpointing=False")) is None
    residual = unedited.change(loaded.source.replace("return h + self.mlp", "return self.mlp"))
    assert residual is not None
    assert residual.startswith("TINY: logits change by")
    mask = unedited.change(loaded.source.replace("AttentionMask.of(attn_mask)", "AttentionMask.causal()"))
    assert mask is not None
    std = unedited.change(loaded.source.replace("std / (2 * config.num_layers) ** 0.5", "std"))
    assert std is not None
    assert std.startswith("TINY: fresh weights change by")


def test_a_gradient_that_changes_at_one_config_of_the_tests_is_told(blind: Path) -> None:
    loaded = load_subject(find_files("gpt2", blind))
    one_layer = dataclasses.replace(loaded.config, num_layers=1)
    unedited = Comparison(dataclasses.replace(loaded, variations={"num_layers=1": one_layer}))
    embedded = "self.embeddings(input_ids, pos_ids)"
    stopped = f"({embedded} if self.config.num_layers > 1 else jax.lax.stop_gradient({embedded}))"
    assert embedded in loaded.source
    change = unedited.change(
        loaded.source.replace(embedded, stopped).replace("import haliax", "import jax\nimport haliax")
    )
    assert change is not None
    assert change.startswith("num_layers=1: the gradient of transformer.w")


@pytest.mark.slow
def test_blind_tests_leave_survivors_that_are_listed(blind: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of every fortieth fault: each that survives is run against the original."""
    monkeypatch.setattr(run, "mutations", lambda source: mutations(source)[::40])
    told: list[str] = []
    outcome = run.seeded_faults(load_subject(find_files("gpt2", blind)), survived=told.append)
    assert outcome.status is Status.FAILED
    assert "not noticed" in outcome.reason
    assert sorted(told) == sorted(detail.splitlines()[0] for detail in outcome.details)
    assert any("--- models/gpt2.py" in detail for detail in outcome.details)


@pytest.mark.parametrize(
    "model", [pytest.param("llama", marks=pytest.mark.slow), pytest.param("gpt2", marks=pytest.mark.exhaustive)]
)
def test_generated_tests_notice_every_fault(subject, model: str) -> None:
    outcome = run.seeded_faults(subject(model))
    assert outcome.status is Status.PASSED, "\n".join(outcome.details)
