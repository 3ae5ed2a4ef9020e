"""The proof in a record: levels, staleness, and that nothing else of the record changes."""

from pathlib import Path

import pytest
import yaml

from levgen.prove.ladder import LADDER, MUTATIONS, Climbed, rung_named
from levgen.prove.outcome import failed, passed, skipped
from levgen.prove.state import State, read_state, write_state
from levgen.prove.subject import find_files


def all_passed() -> list[Climbed]:
    skip = {"cache": skipped("none yet"), "checkpoint": skipped("no folder")}
    return [Climbed(rung, skip.get(rung.name, passed("1e-7")), 0.1) for rung in LADDER]


def test_a_fresh_model_is_scaffolded(project: Path):
    files = find_files("llama", project)
    assert read_state(files).levels() == ["scaffolded"]
    assert read_state(files).stale(files) == set()


def test_levels_are_reached_in_order(project: Path):
    files = find_files("llama", project)
    state = State().updated(all_passed(), files)
    assert state.levels() == ["scaffolded", "traces", "shapes", "parity", "gradients"]
    with_mutations = state.updated([Climbed(MUTATIONS, passed("all"), 1.0)], files)
    assert with_mutations.levels()[-1] == "mutation-proof"
    broken = with_mutations.updated([Climbed(rung_named("axes"), failed("wrong"), 0.1)], files)
    assert broken.levels() == ["scaffolded", "traces"], "what lies above a rung that failed doesn't count"


def test_a_skipped_rung_is_not_passed(project: Path):
    files = find_files("llama", project)
    steps = [Climbed(rung_named("forward"), skipped("torch is not installed"), 0.0)]
    assert State().updated([*all_passed(), *steps], files).levels() == ["scaffolded", "traces", "shapes"]


def test_an_edit_makes_the_proof_stale_until_it_is_run_again(project: Path):
    files = find_files("llama", project)
    write_state(files, State().updated(all_passed(), files))
    assert read_state(files).stale(files) == set()
    files.model.write_text(files.model.read_text() + "# edited\n")
    assert read_state(files).stale(files) == {rung.name for rung in LADDER}
    again = read_state(files).updated([Climbed(rung_named("forward"), passed("1e-7"), 0.1)], files)
    assert "forward" not in again.stale(files)
    assert "gradients" in again.stale(files), "it was not run again"


def test_another_version_makes_the_proof_stale(project: Path, monkeypatch: pytest.MonkeyPatch):
    files = find_files("llama", project)
    state = State().updated(all_passed(), files)
    monkeypatch.setattr("levgen.prove.state.versions", lambda: {"transformers": "99"})
    assert state.stale(files) == {rung.name for rung in LADDER}


def test_the_record_keeps_all_else(project: Path):
    files = find_files("llama", project)
    before = yaml.safe_load(files.record.read_text())
    write_state(files, State().updated(all_passed(), files))
    after = yaml.safe_load(files.record.read_text())
    assert after.pop("proof")["rungs"]["forward"] == {"status": "passed", "figure": "1e-7"}
    assert after.pop("status") == "gradients"
    assert before.pop("status") == "scaffolded"
    assert after == before
    assert files.record.read_text().startswith("# How llama was generated.")


def test_a_model_without_a_record_is_not_recorded(project: Path):
    files = find_files("llama", project)
    files.record.unlink()
    assert write_state(files, State().updated(all_passed(), files)) is False
    assert not files.record.exists()
