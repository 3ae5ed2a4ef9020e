"""`levgen check` and `levgen rule` as a user calls them: output and exit codes."""

import json
from pathlib import Path

import pytest

from levgen.cli.app import run

REUSED = "import jax\n\n\ndef f(key):\n    return g(key), h(key)\n"
NAMED = (
    "from levgen.runtime import LmConfig\n\n\nclass XConfig(LmConfig):\n    @classmethod\n"
    "    def from_hf_config(cls, hf):\n        return XConfig()  # kept\n"
)
NAMED = NAMED.replace("class X", '@LmConfig.register_subclass("x")\nclass X')


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_clean(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "x.py").write_text("X = 1\n", encoding="utf-8")
    assert run(["check"]) == 0
    assert capsys.readouterr().out == "no problems in 1 file\n"


def test_findings(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "x.py").write_text(REUSED, encoding="utf-8")
    assert run(["check", "x.py"]) == 1
    assert capsys.readouterr().out == (
        "x.py:5:22: LEV201 key `key` is used a second time: split it first\nfound 1 problem in 1 file\n"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing.py"], "missing.py does not exist"),
        (["README.md"], "no file to check in README.md"),
        (["x.py", "--select", "LEV2o1"], "there is no rule 'LEV2o1'"),
        (["x.py", "--ignore", "LEV201,nothing"], "there is no rule 'nothing'"),
        (["x.py", "--format", "xml"], "xml"),
    ],
)
def test_usage_errors(arguments: list[str], message: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "x.py").write_text(REUSED, encoding="utf-8")
    (folder / "README.md").write_text("x\n", encoding="utf-8")
    assert run(["check", *arguments]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.out == ""


def test_select_and_ignore_take_commas_and_repeats(folder: Path) -> None:
    (folder / "x.py").write_text(REUSED, encoding="utf-8")
    assert run(["check", "--select", "LEV101,LEV102", "--select", "LEV105"]) == 0
    assert run(["check", "--select", "LEV101,LEV201"]) == 1
    assert run(["check", "--ignore", "LEV201"]) == 0


def test_formats(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "x.py").write_text(REUSED, encoding="utf-8")
    assert run(["check", "--format", "json"]) == 1
    assert json.loads(capsys.readouterr().out)["findings"][0]["code"] == "LEV201"
    assert run(["check", "--format", "github"]) == 1
    assert capsys.readouterr().out.startswith("::error file=x.py,line=5")
    assert run(["check", "--format", "sarif"]) == 1
    assert json.loads(capsys.readouterr().out)["version"] == "2.1.0"
    assert run(["check", "--statistics"]) == 1
    assert capsys.readouterr().out == "1 LEV201 reused-key\nfound 1 problem in 1 file\n"


def test_github_says_nothing_when_clean(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "x.py").write_text("X = 1\n", encoding="utf-8")
    assert run(["check", "--format", "github"]) == 0
    assert capsys.readouterr().out == ""


def test_diff_writes_nothing_and_fix_does(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / "x.py"
    path.write_text(NAMED, encoding="utf-8")
    assert run(["check", "--diff"]) == 1
    captured = capsys.readouterr()
    assert "-        return XConfig()  # kept\n+        return cls()  # kept\n" in captured.out
    assert "nothing was written" in captured.err
    assert path.read_text(encoding="utf-8") == NAMED
    assert run(["check", "--fix"]) == 0
    assert path.read_text(encoding="utf-8") == NAMED.replace("XConfig()", "cls()")
    assert run(["check", "--diff"]) == 0


def test_rule_explains_by_code_and_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["rule", "lev201"]) == 0
    by_code = capsys.readouterr().out
    assert by_code.startswith("# reused-key (LEV201)\n\nA PRNG key is used twice.\n\n## Why is this bad?\n")
    assert run(["rule", "reused-key"]) == 0
    assert capsys.readouterr().out == by_code


def test_rule_as_json_and_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["rule", "LEV201", "--json"]) == 0
    page = json.loads(capsys.readouterr().out)
    assert (page["code"], page["name"]) == ("LEV201", "reused-key")
    assert page["bad"][0]["path"] == "models/example.py"
    assert run(["rule", "--all"]) == 0
    assert "LEV201 reused-key: A PRNG key is used twice.\n" in capsys.readouterr().out


@pytest.mark.parametrize(("code", "hint"), [("LEV20l", "LEV20"), ("reuse-key", "reused-key")])
def test_unknown_rule(code: str, hint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["rule", code]) == 2
    assert hint in capsys.readouterr().err


def test_rule_of_nothing_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["rule"]) == 2
    assert "levgen rule --all" in capsys.readouterr().err
