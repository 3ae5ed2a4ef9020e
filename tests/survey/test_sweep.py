"""The table of a sweep, and going on where it stopped."""

import json
from pathlib import Path
from typing import Any

import pytest

from levgen.architecture.card import as_data
from levgen.architecture.catalogue import get
from levgen.survey.sweep import page as sweep_page
from levgen.survey.sweep import run as sweep


def _config(**changes: Any) -> dict[str, Any]:
    held = {"forward": 1e-6, "long": 2e-6, "gradients": 3e-6, "round_trip": "", "problem": "", "changes": {}}
    return {**held, **changes}


def _result(model_type: str, **config: Any) -> dict[str, Any]:
    columns = {
        "generation": "",
        "configs": [_config(), _config(), _config(**config)],
        "growth": 1.0,
        "tests": "9 passed",
    }
    return {"type": model_type, "surveyed": True, "unknown": [], "columns": columns, "card": {"title": "A"}}


def _unknown(model_type: str) -> dict[str, Any]:
    return {"type": model_type, "surveyed": False, "unknown": [["scale", "a | b", "file:1"]], "columns": None}


def _three(number: str) -> str:
    return ", ".join([number] * 3)


def test_the_table_is_sorted_and_says_where() -> None:
    lines = sweep_page.table([_unknown("b"), _result("a"), {"type": "c"}]).splitlines()
    errors = f"{_three('1e-06')} | {_three('3e-06')} | {_three('2e-06')}"
    assert lines[2:] == [
        f"| a | green | yes | {errors} | exact | 1.00 | 9 passed |  |  |",
        "| b | not surveyed |  |  |  |  |  |  |  |  | scale: a / b (`file:1`) |",
        "| c | not tried |  |  |  |  |  |  |  |  |  |",
    ]


@pytest.mark.parametrize(
    "config",
    [
        {"forward": 2e-4},
        {"long": 2e-4},
        {"gradients": 2e-3},
        {"round_trip": "other bits in w"},
        {"forward": None, "long": None, "gradients": None, "round_trip": None, "problem": "ValueError: no"},
        {"gradients": float("nan")},
    ],
    ids=lambda config: next(iter(config)),
)
def test_one_config_that_does_not_hold_is_red(config: dict[str, Any]) -> None:
    result = _result("a", **config)
    assert sweep_page.state(result) == "red"
    assert config.get("problem", "") in sweep_page.row(result)
    assert config.get("round_trip") or "" in sweep_page.row(result)


def test_failed_tests_are_red() -> None:
    result = _result("a")
    result["columns"]["tests"] = "1 failed, 34 passed, FAILED tests/test_a.py::test_loss"
    assert sweep_page.state(result) == "red"
    assert "test_loss" in sweep_page.row(result)


def test_a_card_that_differs_is_named() -> None:
    result = _result("llama") | {"card": as_data(get("llama"))}
    assert " | the same | " in sweep_page.row(result)
    result["card"]["attention"] = {**result["card"].get("attention", {}), "qk_norm": "head"}
    assert " | attention.qk_norm | " in sweep_page.row(result)


def test_a_sweep_that_ran_out_of_time_is_red() -> None:
    result = _result("a")
    result["columns"]["growth"] = None
    assert sweep_page.state(result) == "red"
    del result["columns"]["configs"][2]
    result["columns"]["growth"] = 1.0
    assert sweep_page.state(result) == "red"
    result["columns"] = None
    assert sweep_page.state(result) == "red"


def test_files_that_ruff_refuses_and_layers_that_are_not_scanned_are_red() -> None:
    result = _result("a")
    result["columns"]["generation"] = "ruff check: E501"
    assert sweep_page.state(result) == "red"
    assert "ruff check: E501" in sweep_page.row(result)
    result = _result("a")
    result["columns"]["growth"] = 3.9
    assert sweep_page.state(result) == "red"


def test_stubs_are_named() -> None:
    result = _result("a")
    result |= {"stubs": ["AAttention", "AMlp"], "surveyed": False}
    result["columns"]["tests"] = "12 passed, 15 xfailed"
    assert "| partly stubbed: AAttention, AMlp |" in sweep_page.row(result)
    result["columns"]["tests"] = "11 passed, 15 xfailed, 1 failed"
    assert sweep_page.state(result) == "red"


def test_the_page_counts_and_says_how_it_is_rebuilt() -> None:
    page = sweep_page.page([[_unknown("b"), _result("a")], [{"type": "c"}]])
    assert "**1 of 2 types** are green, 1 not surveyed." in page
    assert "**0 of 1 types** are green, 1 not tried." in page
    assert "`python -m levgen.survey.sweep FOLDER" in page
    assert page.endswith(sweep_page.table([{"type": "c"}]))


def test_a_type_with_a_result_is_not_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []

    def run(folder: Path, model_type: str, seconds: float, gigabytes: float) -> None:
        ran.append(model_type)
        (folder / f"{model_type}.json").write_text(json.dumps(_result(model_type)))

    monkeypatch.setattr(sweep, "_run", run)
    monkeypatch.setattr(sweep, "_make_project", lambda folder: None)
    (tmp_path / "a.json").write_text(json.dumps(_unknown("a")))
    assert sweep.main([str(tmp_path), "--types", "a", "b"]) == 0
    assert ran == ["b"]
    # What an earlier sweep left of other types is no part of this one.
    (tmp_path / "c.json").write_text(json.dumps(_unknown("c")))
    (tmp_path / "types.txt").write_text("a\nb\n")
    page = tmp_path / "page.md"
    assert sweep.main([str(tmp_path), "--types", f"@{tmp_path / 'types.txt'}", "--table", str(page)]) == 0
    assert page.read_text() == (tmp_path / "table.md").read_text()
    assert "| c |" not in page.read_text()
    assert "| a | not surveyed |" in page.read_text()
    assert "| b | green |" in page.read_text()


def test_only_the_table_shows_what_was_not_tried(tmp_path: Path) -> None:
    assert sweep.main([str(tmp_path), "--first", "a", "--types", "b", "--only-table"]) == 0
    page = (tmp_path / "table.md").read_text()
    assert page.count("not tried |") == 2
    assert page.index("| a |") < page.index("## Other causal") < page.index("| b |")


def test_rows_of_types_that_were_not_swept_are_kept_from_a_table(tmp_path: Path) -> None:
    table = tmp_path / "table.md"
    table.write_text(sweep_page.page([[_result("a"), _unknown("b")]]))
    (tmp_path / "b.json").write_text(json.dumps(_result("b")))
    assert sweep.main([str(tmp_path), "--types", "a", "b", "c", "--only-table", "--keep", str(table)]) == 0
    page = table.read_text()
    assert sweep_page.row(_result("a")) in page
    assert sweep_page.row(_result("b")) in page
    assert "**2 of 3 types** are green, 1 not tried." in page


def test_a_process_that_takes_too_long_is_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "_make_project", lambda folder: None)
    sweep.main([str(tmp_path), "--types", "llama", "--seconds", "0.01"])
    result = json.loads((tmp_path / "llama.json").read_text())
    assert result["unknown"] == [["the sweep", "not done after 0 s", ""]]


def test_a_process_that_asks_for_too_much_memory_is_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "_make_project", lambda folder: None)
    sweep.main([str(tmp_path), "--types", "llama", "--gigabytes", "0.05"])
    ((question, observed, _),) = json.loads((tmp_path / "llama.json").read_text())["unknown"]
    assert question == "the sweep"
    assert "Error" in observed


def test_what_was_found_in_time_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run_out(*arguments: object, **options: object) -> None:
        (tmp_path / "a.partial").write_text(json.dumps(_result("a")))
        raise sweep.subprocess.TimeoutExpired("a", 90)

    monkeypatch.setattr(sweep.subprocess, "run", run_out)
    sweep._run(tmp_path, "a", 90, 12)
    result = json.loads((tmp_path / "a.json").read_text())
    assert result["surveyed"]
    assert result["unknown"] == [["the sweep", "not done after 90 s", ""]]
    assert not (tmp_path / "a.partial").exists()


def test_a_table_is_compared_with_what_comes_out() -> None:
    page = sweep_page.page([[_result("a"), _result("b"), _unknown("c"), _unknown("d")]])
    red = _result("b") | {"columns": None}
    assert sweep.compare(page, [sweep_page.row(r) for r in (_result("a"), _unknown("c"))]) == ([], [])
    assert sweep.compare(page, [sweep_page.row(r) for r in (_result("a"), red, _result("c"), _result("e"))]) == (
        ["b: the table says green, and it is red", "e: the table says nothing, and it is green"],
        ["c: the table says not surveyed, and it is green"],
    )


def test_a_type_that_was_not_done_in_time_is_not_worse() -> None:
    page = sweep_page.page([[_result("a")]])
    slow = _unknown("a") | {"unknown": [["the sweep", "not done after 9 s", ""]]}
    worse, (line,) = sweep.compare(page, [sweep_page.row(slow)])
    assert worse == []
    assert line == "a: the table says green, and it is not surveyed: the sweep: not done after 9 s"


def test_a_card_that_differs_is_worse(monkeypatch: pytest.MonkeyPatch) -> None:
    page = sweep_page.page([[_result("a")]])
    monkeypatch.setattr(sweep_page, "_card", lambda result: "mlp.bias")
    worse, other = sweep.compare(page, [sweep_page.row(_result("a"))])
    assert worse == ["a: of the card the table says nothing, and it is mlp.bias"]
    assert other == []


def test_shares_are_the_whole() -> None:
    types = [f"t{i}" for i in range(11)]
    shares = [sweep.share(types, f"{i}/4") for i in range(1, 5)]
    assert sorted(t for share in shares for t in share) == sorted(types)
    assert {len(share) for share in shares} == {2, 3}
    assert sweep.share(types, "1/1") == types
