"""`levgen doctor`: the report, its exit code, and what it finds wrong."""

import json

import pytest

from levgen import environment
from levgen.cli.app import run
from levgen.cli.doctor import diagnose
from levgen.environment import HaliaxProblem
from levgen.scaffold.journal import JOURNAL


@pytest.fixture(autouse=True)
def somewhere(tmp_path, monkeypatch):
    (tmp_path / ".git").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def found(name):
    return next(diagnosis for diagnosis in diagnose() if diagnosis.name == name)


def test_a_whole_installation(capsys, monkeypatch):
    monkeypatch.setattr(environment, "haliax_problem", lambda: None)
    assert run(["doctor"]) == 0
    out = capsys.readouterr().out
    assert out.endswith("\nNothing is wrong.\n")
    for line in ("ok     levgen", "ok     python", "ok     templates", "ok     haliax"):
        assert line in out


def test_what_is_wrong_is_said_with_what_mends_it(capsys, monkeypatch):
    monkeypatch.setattr(
        environment, "haliax_problem", lambda: HaliaxProblem("two packages", ("pip fix one", "pip two"))
    )
    assert run(["doctor"]) == 1
    out = capsys.readouterr().out
    assert "two packages\n" in out
    assert [line.strip() for line in out.splitlines() if "pip" in line and "levgen" not in line] == [
        "pip fix one",
        "pip two",
    ]
    assert "1 of" in out.splitlines()[-1]
    assert run(["doctor", "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert [item["mend"] for item in report if item["status"] == "wrong"] == [["pip fix one", "pip two"]]


def test_packages_are_held_against_the_requirements(monkeypatch):
    needs = ["typer>=0.1", "rich>=9999", "no-such-package>=1", 'never>=1; extra == "test"', "marin-haliax>=0.2"]
    monkeypatch.setattr("importlib.metadata.requires", lambda name: needs)
    assert found("typer").status == "ok"
    assert found("rich").mend == ["pip install 'rich>=9999'"]
    assert found("no-such-package").found == "not installed"
    assert "never" not in [diagnosis.name for diagnosis in diagnose()]


def test_torch_is_optional(monkeypatch):
    monkeypatch.setattr(environment, "installed_version", lambda name: None)
    assert found("torch").status == "note"
    assert found("torch").mend == ["pip install 'levgen[test]'"]


def test_the_project_here(somewhere):
    assert found("project").status == "note"
    (somewhere / "pyproject.toml").write_text("")
    assert "can't import the models" in found("project").found
    (somewhere / "pyproject.toml").write_text('[tool.pytest.ini_options]\npythonpath = ["."]\n')
    assert found("project").status == "ok"
    (somewhere / JOURNAL).mkdir()
    assert "interrupted" in found("project").found
    (somewhere / "pyproject.toml").write_text("[tool.levgen]\nmodels = 3\n")
    assert "expected a folder" in found("project").found


def test_devices_only_when_asked(capsys):
    assert run(["doctor", "--deep", "--json"]) in (0, 1)
    report = json.loads(capsys.readouterr().out)
    assert report[-1]["name"] == "devices"
    assert report[-1]["found"].startswith("2 x cpu")
    assert "devices" not in [diagnosis.name for diagnosis in diagnose()]
