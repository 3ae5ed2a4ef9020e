"""The cache of `levgen check`: it answers where nothing has changed, and only there."""

import os
from pathlib import Path

import pytest

from levgen.check import cache, runner
from levgen.check.cache import FOLDER, run_cached
from levgen.check.finding import Report

REUSED = "import jax\n\n\ndef f(key):\n    return g(key), h(key)\n"
FIXABLE = (
    "from levgen.runtime import LmConfig\n\n\n@LmConfig.register_subclass('x')\nclass XConfig(LmConfig):\n"
    "    @classmethod\n    def from_hf_config(cls, hf):\n        return XConfig()\n"
)


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\n', encoding="utf-8")
    (tmp_path / "a.py").write_text(REUSED, encoding="utf-8")
    (tmp_path / "b.py").write_text(FIXABLE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[None]:
    """Grows by one with every real run."""
    made: list[None] = []
    real = runner.run

    def counted(*args: object, **options: object) -> Report:
        made.append(None)
        return real(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(runner, "run", counted)
    return made


def test_the_second_run_is_the_first_again(runs: list[None]) -> None:
    first = run_cached([Path()])
    assert {finding.code for finding in first.findings} >= {"LEV201", "LEV404"}
    second = run_cached([Path()])
    assert second == first
    assert [finding.fix for finding in second.findings] == [finding.fix for finding in first.findings]
    assert any(finding.fix for finding in second.findings)
    assert len(runs) == 1


def test_what_is_asked_is_part_of_the_answer(runs: list[None]) -> None:
    run_cached([Path()])
    assert [finding.code for finding in run_cached([Path()], select=["LEV201"]).findings] == ["LEV201"]
    assert run_cached([Path("a.py")]).files == (Path("a.py"),)
    assert len(runs) == 3


@pytest.mark.parametrize(
    "change",
    [
        lambda: Path("a.py").write_text("X = 1\n", encoding="utf-8"),
        lambda: Path("c.py").write_text("X = 1\n", encoding="utf-8"),
        lambda: Path("tests").mkdir(),
        lambda: Path("b.py").unlink(),
        lambda: Path("pyproject.toml").write_text("[tool.levgen.check]\nignore = ['LEV2']\n", encoding="utf-8"),
    ],
    ids=["edited", "added", "folder", "removed", "settings"],
)
def test_a_change_anywhere_in_the_project_is_seen(change: object, runs: list[None]) -> None:
    run_cached([Path("a.py")])
    assert callable(change)
    change()
    run_cached([Path("a.py")])
    assert len(runs) == 2


def test_a_change_within_the_same_second_and_size_is_seen(runs: list[None]) -> None:
    run_cached([Path("a.py")])
    times = os.stat("a.py")
    Path("a.py").write_text(REUSED.replace("h(key)", "h(k_y)"), encoding="utf-8")
    os.utime("a.py", ns=(times.st_atime_ns, times.st_mtime_ns))
    assert run_cached([Path("a.py")]).findings == ()
    assert len(runs) == 2


def test_other_rules_ask_anew(
    runs: list[None], tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_cached([Path()])
    package = tmp_path_factory.mktemp("levgen")
    (package / "lev999_new.py").write_text("", encoding="utf-8")
    monkeypatch.setattr(cache, "_PACKAGE", package)
    run_cached([Path()])
    assert len(runs) == 2


@pytest.mark.parametrize("broken", ["", "{}", "[1]", '{"state": 3'])
def test_a_broken_cache_is_no_cache(broken: str, runs: list[None], project: Path) -> None:
    first = run_cached([Path()])
    (file,) = (project / FOLDER / "check").glob("*.json")
    file.write_text(broken, encoding="utf-8")
    assert run_cached([Path()]) == first
    assert len(runs) == 2


def test_a_folder_that_cannot_be_written_to_has_none(runs: list[None], project: Path) -> None:
    (project / FOLDER).write_text("a file where the folder would be", encoding="utf-8")
    assert run_cached([Path()]) == run_cached([Path()])
    assert len(runs) == 2


def test_files_of_no_project_are_read_each_time(runs: list[None], project: Path) -> None:
    (project / "pyproject.toml").unlink()
    assert run_cached([Path()]) == run_cached([Path()])
    assert len(runs) == 2
    assert not (project / FOLDER).exists()


def test_git_is_told_to_ignore_it(project: Path) -> None:
    run_cached([Path()])
    assert (project / FOLDER / ".gitignore").read_text(encoding="utf-8") == "*\n"
