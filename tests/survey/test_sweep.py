"""The table of a sweep, and going on where it stopped."""

import json
from pathlib import Path

import pytest

from levgen.survey import sweep


def _result(model_type: str, *, surveyed: bool) -> dict[str, object]:
    unknown = [] if surveyed else [["scale", "a | b", "file:1"]]
    errors = [1e-6, 2e-6] if surveyed else []
    return {
        "type": model_type,
        "surveyed": surveyed,
        "logits": errors,
        "gradients": 3e-6 if surveyed else None,
        "seconds": 4.0,
        "unknown": unknown,
    }


def test_the_table_is_sorted_and_says_where() -> None:
    lines = sweep.table([_result("b", surveyed=False), _result("a", surveyed=True)]).splitlines()
    assert lines[2:4] == ["| a | yes | 1e-06, 2e-06 | 3e-06 |  |", "| b | no |  |  | scale: a / b (`file:1`) |"]


def test_the_page_counts_and_says_how_it_is_rebuilt() -> None:
    page = sweep.page([_result("b", surveyed=False), _result("a", surveyed=True)])
    assert "**1 of 2 types**" in page
    assert "`python -m levgen.survey.sweep FOLDER" in page
    assert page.endswith(sweep.table([_result("a", surveyed=True), _result("b", surveyed=False)]))


def test_a_type_with_a_result_is_not_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []

    def run(folder: Path, model_type: str, seconds: float) -> None:
        ran.append(model_type)
        (folder / f"{model_type}.json").write_text(json.dumps(_result(model_type, surveyed=True)))

    monkeypatch.setattr(sweep, "_run", run)
    (tmp_path / "a.json").write_text(json.dumps(_result("a", surveyed=False)))
    assert sweep.main([str(tmp_path), "--types", "a", "b"]) == 0
    assert ran == ["b"]
    # What an earlier sweep left of other types is no part of this one.
    (tmp_path / "c.json").write_text(json.dumps(_result("c", surveyed=False)))
    (tmp_path / "types.txt").write_text("a\nb\n")
    page = tmp_path / "page.md"
    assert sweep.main([str(tmp_path), "--types", f"@{tmp_path / 'types.txt'}", "--table", str(page)]) == 0
    assert page.read_text() == (tmp_path / "table.md").read_text()
    assert "| c |" not in page.read_text()
    assert "| a | no |" in (tmp_path / "table.md").read_text()
    assert "| b | yes |" in (tmp_path / "table.md").read_text()


def test_a_process_that_takes_too_long_is_a_row(tmp_path: Path) -> None:
    sweep.main([str(tmp_path), "--types", "llama", "--seconds", "0.01"])
    result = json.loads((tmp_path / "llama.json").read_text())
    assert result["unknown"] == [["the survey", "not done after 0 s", ""]]
