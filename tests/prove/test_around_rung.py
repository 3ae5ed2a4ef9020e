"""The rung around stubs, on a Llama whose MLP nobody has understood."""

from pathlib import Path

import pytest

from levgen.architecture.card import as_data, parse_card
from levgen.architecture.catalogue import get
from levgen.project import find_project
from levgen.prove.bench import Bench
from levgen.prove.ladder import AROUND, Climbed, rung_named
from levgen.prove.outcome import Status, passed
from levgen.prove.rungs.around import around
from levgen.prove.state import State
from levgen.prove.subject import Subject, find_files, load_subject
from levgen.scaffold.complete import complete
from levgen.scaffold.files import plan_files
from levgen.scaffold.names import model_name
from levgen.scaffold.port import port_files
from levgen.scaffold.project import project_files

INNER = ["inner", "embed"]
UNKNOWN = {
    "observed": "the channel block: nobody knows",
    "where": "modeling_llama.py:170",
    "weights": [
        {"name": "gate_proj.weight", "axes": INNER, "fresh": "initializer_range"},
        {"name": "up_proj.weight", "axes": INNER, "fresh": "initializer_range"},
        {"name": "down_proj.weight", "axes": INNER[::-1], "fresh": "initializer_range"},
    ],
    "linear": dict.fromkeys(("gate_proj", "up_proj", "down_proj"), True),
    "axes": {"inner": "inner"},
    "reads": ["inner"],
}


@pytest.fixture(scope="module")
def stubbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with it, whose reference is transformers' own Llama."""
    data = as_data(get("llama"))
    del data["mlp"], data["names"]["mlp"]
    data["hyperparameters"]["inner"] = {"default": 11008, "hf": "intermediate_size", "tiny": 80}
    data["fixed"] = {"hidden_act": "silu", "mlp_bias": False}
    data["unknown"] = {"mlp": UNKNOWN}
    root = tmp_path_factory.mktemp("stubbed") / "demo"
    architecture = complete(parse_card(data, source="a test"))
    files = [*project_files(root), *port_files(architecture, model_name("puzzle"), find_project(root))]
    plan_files(root, files).write()
    return root


@pytest.fixture
def puzzle(stubbed: Path) -> Subject:
    return load_subject(find_files("puzzle", stubbed))


@pytest.mark.slow
def test_all_around_a_stub_is_proven(puzzle: Subject) -> None:
    assert puzzle.stubs == ["PuzzleMlp"]
    outcome = around(Bench(puzzle))
    assert outcome.status is Status.PASSED, outcome.line
    assert "comparisons" in outcome.figure


def test_a_fault_around_a_stub_fails(puzzle: Subject) -> None:
    """Here in what reaches the logits through the stub alone."""
    source = puzzle.source.replace("self.mlp(self.post_attention_layernorm(h))", "self.mlp(h)")
    assert source != puzzle.source
    outcome = around(Bench(puzzle.with_source(source)))
    assert outcome.status is Status.FAILED
    assert "logits at TINY" in outcome.reason


def test_without_a_stub_there_is_nothing_to_climb(subject) -> None:  # type: ignore[no-untyped-def]
    assert around(Bench(subject("llama"))).reason == "nothing is a stub"


def test_a_result_about_stubs_goes_with_them(puzzle: Subject) -> None:
    files = puzzle.files
    state = State().updated([Climbed(AROUND, passed("1e-7"), 0.1)], files)
    assert state.levels() == ["scaffolded"]
    assert "around" in state.updated([Climbed(rung_named("axes"), passed(""), 0.1)], files).rungs
    files.model.write_text(files.model.read_text() + "# written\n")
    assert "around" not in state.updated([Climbed(rung_named("axes"), passed(""), 0.1)], files).rungs
