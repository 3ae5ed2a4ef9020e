"""A survey in a process of its own: what must be agreed to and installed first, and how the process may end."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest
from canned_surveys import not_understood, partly_understood, understood

from levgen.cli import surveying
from levgen.cli.surveying import survey_model
from levgen.errors import LevgenError

RUN = surveying._run
INVENTED = Path(__file__).parent.parent / "survey" / "invented"


def _process(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Every survey is the Python program `code` from now on, which needs no torch."""

    def run(command: list[str], model: str) -> object:
        return RUN([sys.executable, "-c", code], model)

    monkeypatch.setattr(surveying, "need_reference", lambda model: None)
    monkeypatch.setattr(surveying, "_run", run)


def _saying(*messages: object) -> str:
    return "\n".join(f"print({json.dumps(message)!r}, flush=True)" for message in messages)


def test_a_survey_arrives_as_it_was_made(monkeypatch: pytest.MonkeyPatch) -> None:
    made = understood("mamba")
    _process(monkeypatch, _saying({"step": "What is a norm?"}, {"survey": made.as_data()}))
    assert survey_model("mamba") == made
    for unknown in (not_understood("mamba"), partly_understood("mamba")):
        _process(monkeypatch, _saying({"survey": unknown.as_data()}))
        assert survey_model("mamba") == unknown


def test_a_refusal_arrives_with_its_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    _process(monkeypatch, _saying({"error": "no such thing", "hint": "try another"}))
    with pytest.raises(LevgenError, match="no such thing") as error:
        survey_model("mamba")
    assert error.value.hint == "try another"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import sys; print('out of memory', file=sys.stderr); sys.exit(3)", "exit code 3"),
        ("import os; os.abort()", "exit code -6"),
        ("print('{\"survey\":')", "without a result"),
    ],
)
def test_a_process_that_dies_is_an_error_and_no_survey(monkeypatch: pytest.MonkeyPatch, code: str, said: str) -> None:
    _process(monkeypatch, code)
    with pytest.raises(LevgenError, match=said):
        survey_model("mamba")


def test_an_interruption_ends_the_process(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    alive = tmp_path / "alive"
    late = f"import time, pathlib; time.sleep(1); pathlib.Path({str(alive)!r}).touch()"
    _process(monkeypatch, f"{_saying({'step': 'x'})}\n{late}")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(surveying, "_read", interrupt)
    with pytest.raises(KeyboardInterrupt):
        survey_model("mamba")
    import time

    time.sleep(1.5)
    assert not alive.exists()


def test_code_is_named_before_it_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def run(command: list[str], model: str) -> None:
        raise AssertionError("it ran")

    monkeypatch.setattr(surveying, "need_reference", lambda model: None)
    monkeypatch.setattr(surveying, "_run", run)
    with pytest.raises(LevgenError, match=r"doesn't run unasked(.|\n)*plumage\.py\n(.|\n)*wings\.py") as error:
        survey_model(INVENTED / "heron")
    assert "--trust-remote-code" in str(error.value.hint)
    with pytest.raises(AssertionError, match="it ran"):
        survey_model(INVENTED / "heron", trust_remote_code=True)
    assert "plumage.py\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("auto_map", "said"),
    [
        ({"AutoConfig": "../x.C", "AutoModelForCausalLM": "../x.M"}, "no file"),
        ({"AutoConfig": "x.C", "AutoModelForCausalLM": "x.M"}, "no file"),
        ({"AutoConfig": 3}, "doesn't name"),
        ([], "takes torch and transformers"),
        ("x.M", "doesn't name"),
    ],
)
def test_broken_auto_map(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, auto_map: object, said: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "x", "auto_map": auto_map}))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(LevgenError, match=said):
        survey_model(tmp_path, trust_remote_code=True)


def test_missing_torch_names_the_extra_and_the_nearest_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "torch" else find(name))
    with pytest.raises(LevgenError, match="what qwen3_next is takes torch, not installed") as error:
        survey_model("qwen3_next")
    assert "pip install 'levgen[test]'" in str(error.value.hint)
    assert "--like: qwen3" in str(error.value.hint)


def test_worker_refuses_what_transformers_does_not_have(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the current folder has a file that bears a package's name: it is not imported."""
    pytest.importorskip("torch")
    (tmp_path / "transformers.py").write_text("raise SystemExit('the wrong one')")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LevgenError, match="transformers has no causal language model of type 'lama'"):
        survey_model("lama")


@pytest.mark.slow
def test_code_of_a_folder_cannot_reach_the_command(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """What the folder's code prints, breaks or changes stays in its process, and what it says is no message of ours."""
    pytest.importorskip("torch")
    (tmp_path / "config.json").write_text((INVENTED / "nettle" / "config.json").read_text())
    code = (INVENTED / "nettle" / "nettle.py").read_text()
    more = """print('{"survey": "forged"}')\nimport os\nos.environ["SEEN"] = "1"\n"""
    (tmp_path / "nettle.py").write_text(f"{code}\n{more}")
    found = survey_model(tmp_path, trust_remote_code=True)
    assert found.model_type == "nettle"
    assert found.unknown
    import os

    assert "SEEN" not in os.environ
    assert "forged" not in capfd.readouterr().out


def test_step_is_told_by_the_docstrings_of_the_modules_at_work() -> None:
    from levgen.cli.survey_worker import _step

    seen: list[str | None] = []

    def module(name: str, doc: str, body: str) -> dict[str, object]:
        scope: dict[str, object] = {"__name__": name, "__doc__": doc, "sys": sys, "seen": seen, "step": _step}
        exec(f"def work(then=None):\n    {body}", scope)
        return scope

    inner = module("levgen.survey.observe.sums", "What is a sum? Least squares.", "seen.append(step(sys._getframe()))")
    outer = module("levgen.survey.config.trials", "What moves: each field in turn.", "then()")
    whole = module("levgen.survey.run", "A survey.", "then()")
    for work in (inner["work"], lambda: outer["work"](inner["work"]), lambda: whole["work"](inner["work"])):  # type: ignore[operator]
        work()  # type: ignore[operator]
    assert seen == ["What is a sum?", "What moves > What is a sum?", "What is a sum?"]
    assert _step(None) is None
