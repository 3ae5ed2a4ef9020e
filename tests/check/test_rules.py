"""Every rule: its page is whole, its bad example breaks it and no other rule, its good example is clean."""

from pathlib import Path

import pytest
from rule_examples import write_example

from levgen.check.docs import FAMILIES, pages
from levgen.check.manual import manual
from levgen.check.registry import all_rules
from levgen.check.runner import run

CODES = sorted(all_rules())


def test_there_are_about_forty_rules_or_more() -> None:
    assert len(CODES) >= 40
    assert {code[3] for code in CODES} == set(FAMILIES)


@pytest.mark.parametrize("code", CODES)
def test_bad_example_breaks_this_rule_alone(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_example(tmp_path, manual(all_rules()[code]).bad)
    monkeypatch.chdir(tmp_path)
    findings = run(["."]).findings
    assert {finding.code for finding in findings} == {code}, [str(finding) for finding in findings]


@pytest.mark.parametrize("code", CODES)
def test_good_example_is_clean(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_example(tmp_path, manual(all_rules()[code]).good)
    monkeypatch.chdir(tmp_path)
    assert [str(finding) for finding in run(["."]).findings] == []


@pytest.mark.parametrize("code", CODES)
def test_fix_of_bad_example_removes_the_finding(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from levgen.check.edits import fixed_texts

    write_example(tmp_path, manual(all_rules()[code]).bad)
    monkeypatch.chdir(tmp_path)
    before = run(["."]).findings
    fixable = [finding for finding in before if finding.fix]
    for path, (_, text) in fixed_texts(before).items():
        path.write_text(text, encoding="utf-8")
    after = run(["."]).findings
    assert len(after) == len(before) - len(fixable)


def test_documentation_is_current() -> None:
    """`python -m levgen.check.docs docs/rules` writes it anew."""
    folder = Path(__file__).parents[2] / "docs" / "rules"
    written = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.md")}
    assert written == pages()
