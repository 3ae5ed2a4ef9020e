"""Running: what is read, settings, comments that switch rules off, fixes, and how a report is written."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rule_examples import findings_of, write_example

from levgen.check.edits import apply_edits, fixed_texts, write_text
from levgen.check.finding import Edit, Finding, Report
from levgen.check.manual import Example
from levgen.check.report.github import as_github
from levgen.check.report.json import as_json
from levgen.check.report.sarif import as_sarif
from levgen.check.report.text import as_statistics, as_text
from levgen.check.runner import check_paths, run
from levgen.errors import LevgenError

REUSED = "import jax\n\n\ndef f(key):\n    return g(key), h(key){comment}\n"


def write(folder: Path, files: dict[str, str]) -> None:
    write_example(folder, tuple(Example("", path, text) for path, text in files.items()))


def test_importing_it_is_light() -> None:
    code = (
        "import sys, levgen.check, levgen.check.manual, levgen.check.registry as r\n"
        "[one.check for one in r.all_rules().values()]\n"
        "heavy = {'jax', 'torch', 'transformers', 'haliax', 'equinox', 'copier'}\n"
        "heavy |= {'typer', 'rich', 'pydantic', 'libcst'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_path_line_and_column_count_from_one(tmp_path: Path) -> None:
    write(tmp_path, {"x.py": REUSED.format(comment="")})
    (found,) = check_paths([tmp_path])
    assert (found.path, found.line, found.column, found.code) == (tmp_path / "x.py", 5, 22, "LEV201")
    assert str(found) == f"{tmp_path}/x.py:5:22: LEV201 key `key` is used a second time: split it first"


def test_order_does_not_depend_on_the_order_of_paths(tmp_path: Path) -> None:
    write(tmp_path, {f"{name}.py": REUSED.format(comment="") for name in "cab"})
    paths = [tmp_path / f"{name}.py" for name in "abc"]
    assert check_paths(paths) == check_paths(reversed(paths)) == check_paths([tmp_path, *paths])


@pytest.mark.parametrize("text", ["def f(:\n", "\x00", "x = '\\ud800", "(" * 400])
def test_file_that_is_no_python_is_a_finding(text: str, tmp_path: Path) -> None:
    (tmp_path / "x.py").write_text(text, encoding="utf-8")
    assert [one.code for one in check_paths([tmp_path])] == ["LEV001"]


def test_bytes_that_are_no_text_are_a_finding(tmp_path: Path) -> None:
    (tmp_path / "x.py").write_bytes(b"\xff\xfe\x00")
    assert [one.code for one in check_paths([tmp_path])] == ["LEV001"]


def test_syntax_error_that_is_ignored_is_reported_as_skipped(tmp_path: Path) -> None:
    (tmp_path / "x.py").write_text("def f(:\n", encoding="utf-8")
    report = run([tmp_path], ignore=["LEV001"])
    assert report.findings == ()
    assert "skipped LEV001 on 1 file, because the file does not parse" in as_text(report)


def test_byte_order_mark_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "x.py").write_bytes(b"\xef\xbb\xbfX = 1\n")
    assert check_paths([tmp_path]) == []


def test_hidden_and_installed_files_are_not_read(tmp_path: Path) -> None:
    write(tmp_path, {".venv/x.py": "(", "build/x.py": "(", "node_modules/x.py": "(", "ok.py": "X = 1\n"})
    assert [path.name for path in run([tmp_path]).files] == ["ok.py"]


@pytest.mark.parametrize("name", ["missing.py", "README.md", "empty"])
def test_a_run_that_reads_nothing_is_an_error(name: str, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("x", encoding="utf-8")
    (tmp_path / "empty").mkdir()
    with pytest.raises(LevgenError, match=r"does not exist|no file to check"):
        run([tmp_path / name])


@pytest.mark.parametrize(
    ("select", "ignore", "expected"),
    [
        (["LEV201"], [], ["LEV201"]),
        (["LEV2"], [], ["LEV201"]),
        (["reused-key"], [], ["LEV201"]),
        (["LEV1", "lev3"], [], []),
        ([], ["LEV201"], []),
        (["LEV"], ["LEV2"], []),
    ],
)
def test_select_and_ignore(select: list[str], ignore: list[str], expected: list[str], tmp_path: Path) -> None:
    write(tmp_path, {"x.py": REUSED.format(comment="")})
    assert [one.code for one in check_paths([tmp_path], select=select, ignore=ignore)] == expected


@pytest.mark.parametrize(("code", "near"), [("LEV210x", "LEV210"), ("reused-keys", "reused-key"), ("LEV7", "LEV")])
def test_unknown_code_names_the_nearest(code: str, near: str, tmp_path: Path) -> None:
    write(tmp_path, {"x.py": "X = 1\n"})
    with pytest.raises(LevgenError, match=f"there is no rule '{code}'") as error:
        run([tmp_path], select=[code])
    assert near in (error.value.hint or "")


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ('ignore = ["LEV201"]', []),
        ('select = ["LEV1"]', []),
        ('per-file-ignores = {"old/*" = ["LEV2"]}', ["new/x.py"]),
        ('per-file-ignores = {"x.py" = ["reused-key"]}', []),
        ("", ["new/x.py", "old/x.py"]),
    ],
)
def test_settings_of_the_project(
    table: str, expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = REUSED.format(comment="")
    files = {"pyproject.toml": f"[tool.levgen.check]\n{table}\n", "old/x.py": text, "new/x.py": text}
    assert [one.path.as_posix() for one in findings_of(tmp_path, files, monkeypatch)] == expected


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ('selct = ["LEV1"]', "no key 'selct'"),
        ('ignore = "LEV1"', "expected a list of codes"),
        ('ignore = ["LEV999"]', "no rule 'LEV999'"),
        ("per-file-ignores = 1", "expected a table"),
        ("= 1", "not valid TOML"),
    ],
)
def test_broken_settings(table: str, message: str, tmp_path: Path) -> None:
    write(tmp_path, {"pyproject.toml": f"[tool.levgen.check]\n{table}\n", "x.py": "X = 1\n"})
    with pytest.raises(LevgenError, match=message):
        run([tmp_path])


@pytest.mark.parametrize(
    ("comment", "expected"),
    [
        ("  # levgen: ignore[LEV201] both draws are meant to be equal", []),
        ("  # noqa: E501  # levgen: ignore[LEV201, LEV202] both", ["LEV003"]),
        ("  # levgen: ignore[LEV201]", ["LEV002"]),
        ("  # levgen: ignore", ["LEV004", "LEV201"]),
        ("  # levgen: ignore[LEV999] why", ["LEV004", "LEV201"]),
        ("  # levgen: ignore[LEV101] why", ["LEV003", "LEV201"]),
    ],
)
def test_comments_that_switch_rules_off(comment: str, expected: list[str], tmp_path: Path) -> None:
    write(tmp_path, {"x.py": REUSED.format(comment=comment)})
    assert sorted(one.code for one in check_paths([tmp_path])) == expected


def test_comment_on_its_own_line_speaks_for_the_next(tmp_path: Path) -> None:
    comment = "    # levgen: ignore[LEV201] both draws are meant to be equal\n"
    write(tmp_path, {"x.py": f"import jax\n\n\ndef f(key):\n{comment}    return g(key), h(key)\n"})
    assert check_paths([tmp_path]) == []


def test_comment_in_a_string_is_no_comment(tmp_path: Path) -> None:
    write(tmp_path, {"x.py": 'X = "# levgen: ignore[LEV201]"\n'})
    assert check_paths([tmp_path]) == []


def test_comment_in_yaml(tmp_path: Path) -> None:
    yaml = "data: {tokenizer: t, components: {a: {source: {type: url, train_urls: [a]}}}}\n"
    model = "model:\n  type: x\n  num_heads: 3\n"
    write(tmp_path, {"a.yaml": yaml + model + "  num_kv_heads: 2  # levgen: ignore[LEV506] refused on purpose\n"})
    assert check_paths([tmp_path], ignore=["LEV502", "LEV509"]) == []


def test_unused_ignore_is_not_reported_for_a_rule_that_is_off(tmp_path: Path) -> None:
    write(tmp_path, {"x.py": "X = 1  # levgen: ignore[LEV201] why\n"})
    assert check_paths([tmp_path], ignore=["LEV201"]) == []


def test_fixes_keep_comments_and_line_endings(tmp_path: Path) -> None:
    source = (
        "from levgen.runtime import LmConfig\r\n\r\n\r\n"
        '@LmConfig.register_subclass("ä")\r\nclass ÄConfig(LmConfig):\r\n    @classmethod\r\n'
        "    def from_hf_config(cls, hf):\r\n        ä = 1; return ÄConfig()  # ä: kept\r\n"
    )
    path = tmp_path / "x.py"
    path.write_bytes(b"\xef\xbb\xbf" + source.encode("utf-8"))
    path.chmod(0o640)
    findings = check_paths([path])
    assert [one.code for one in findings] == ["LEV404"]
    for changed, (_, after) in fixed_texts(findings).items():
        write_text(changed, after)
    assert path.read_bytes() == b"\xef\xbb\xbf" + source.replace("return ÄConfig()", "return cls()").encode("utf-8")
    assert path.stat().st_mode & 0o777 == 0o640
    assert [one.name for one in tmp_path.iterdir()] == ["x.py"]
    assert check_paths([path]) == []


@given(st.lists(st.text("ab\n# ä", max_size=8), max_size=6))
def test_edits_that_change_nothing_change_nothing(lines: list[str]) -> None:
    text = "\n".join(lines)
    assert apply_edits(text, []) == text


def test_a_form_feed_ends_no_line() -> None:
    assert apply_edits("a\x0cb\nabc\n", [Edit(2, 0, 2, 1, "X")]) == "a\x0cb\nXbc\n"


def test_of_edits_that_overlap_the_first_is_made() -> None:
    edits = [Edit(1, 0, 1, 3, "x"), Edit(1, 2, 1, 5, "y"), Edit(1, 5, 1, 6, "z")]
    assert apply_edits("abcdefg\n", edits) == "xdezg\n"


@pytest.fixture
def report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Report:
    write(tmp_path, {"models/a,b.py": REUSED.format(comment="") + "\nclass M(eqx.Module):\n    x: int\n"})
    monkeypatch.chdir(tmp_path)
    return run(["."])


def test_text(report: Report) -> None:
    assert as_text(report) == (
        "models/a,b.py:5:22: LEV201 key `key` is used a second time: split it first\n"
        "skipped LEV301 on 1 file, because no pyproject.toml stands above the file, so its tests were not found\n"
        "found 1 problem in 1 file"
    )
    assert as_statistics(report) == "1 LEV201 reused-key\nfound 1 problem in 1 file"
    assert as_text(Report((), (), (Path("a"), Path("b")))) == "no problems in 2 files"


def test_json(report: Report) -> None:
    found = json.loads(as_json(report))
    assert found["files"] == 1
    assert found["skipped"][0]["code"] == "LEV301"
    (finding,) = found["findings"]
    assert (finding["code"], finding["name"], finding["line"], finding["fixable"]) == ("LEV201", "reused-key", 5, False)


def test_github_escapes_what_would_end_a_property(report: Report) -> None:
    assert as_github(report) == (
        "::error file=models/a%2Cb.py,line=5,col=22,endLine=5,endColumn=25,title=levgen LEV201::"
        "key `key` is used a second time: split it first"
    )


def test_github_escapes_line_ends() -> None:
    finding = Finding(Path("a.py"), 1, 1, "LEV201", "50%\nof it", 1, 2)
    assert as_github(Report((finding,), (), ())).endswith("::50%25%0Aof it")


def test_sarif_names_the_rules_that_were_broken(report: Report) -> None:
    (found,) = json.loads(as_sarif(report))["runs"]
    assert [rule["id"] for rule in found["tool"]["driver"]["rules"]] == ["LEV201"]
    region = found["results"][0]["locations"][0]["physicalLocation"]["region"]
    assert region == {"startLine": 5, "startColumn": 22, "endLine": 5, "endColumn": 25}
