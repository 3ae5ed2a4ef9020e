"""`levgen inspect`: what it shows of a card, a folder and a survey, and what it refuses."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from canned_surveys import not_understood, partly_understood, understood

from levgen.architecture.attention import Positions
from levgen.architecture.card import parse_card
from levgen.architecture.catalogue import get, known_types
from levgen.cli.app import run
from levgen.survey.report import Survey

INVENTED = Path(__file__).parent.parent / "survey" / "invented"
Surveyed = Callable[[Survey], list[str]]


@pytest.fixture(autouse=True)
def _wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")


@pytest.fixture
def surveyed(monkeypatch: pytest.MonkeyPatch) -> Surveyed:
    """`surveyed(survey)` is what every survey finds from now on; the list fills with what was asked."""

    def settle(survey: Survey) -> list[str]:
        asked: list[str] = []

        def answer(model: str | Path, *, trust_remote_code: bool) -> Survey:
            asked.append(str(model))
            return survey

        monkeypatch.setattr("levgen.cli.inspection.survey_model", answer)
        return asked

    return settle


def test_card_is_shown_whole(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", "gemma2"]) == 0
    shown = capsys.readouterr().out
    assert "transformers.models.gemma2.modeling_gemma2.Gemma2ForCausalLM (transformers" in shown
    assert re.search(r"^hidden_dim +2304 +hidden_size", shown, re.MULTILINE)
    assert re.search(r"^layer.norms +sandwich", shown, re.MULTILINE)
    assert "├─ q    q_proj → rotate" in shown
    assert "Unknown\n  nothing" in shown
    assert "Evidence" not in shown


def test_parameters_are_those_that_are_published(capsys: pytest.CaptureFixture[str]) -> None:
    """6,738,415,616 parameters has Llama 2 7B, and 124,439,808 the smallest GPT-2."""
    for model_type, total in (("llama", "6,738,415,616"), ("gpt2", "124,439,808")):
        assert run(["inspect", model_type]) == 0
        assert re.search(rf"^all .* {total}", capsys.readouterr().out, re.MULTILINE)


def test_folder_gives_its_own_sizes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = {"model_type": "llama", "hidden_size": 64, "intermediate_size": 96, "num_attention_heads": 4}
    config |= {"num_key_value_heads": 2, "num_hidden_layers": 2, "vocab_size": 100}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert run(["inspect", str(tmp_path), "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    layer = 64 * 64 * 2 + 2 * 64 * 32 + 3 * 64 * 96 + 2 * 64
    assert data["parameters"]["total"] == 2 * layer + 2 * 100 * 64 + 64
    assert data["hyperparameters"]["hidden_dim"]["default"] == 64


@pytest.mark.parametrize("option", [["--json"], ["--format", "json"]])
def test_json_is_the_card_and_more(capsys: pytest.CaptureFixture[str], option: list[str]) -> None:
    assert run(["inspect", "cohere", *option]) == 0
    data = json.loads(capsys.readouterr().out)
    more = {"model", "parameters", "cached_numbers", "dataflow"}
    card = parse_card({key: value for key, value in data.items() if key not in more}, source="inspect")
    assert card.groups() == get("cohere").groups()
    ids = {node["id"] for node in data["dataflow"]["nodes"]}
    assert {end for edge in data["dataflow"]["edges"] for end in edge} == ids
    assert data["cached_numbers"] == 40 * 2 * 64 * 128


def test_mermaid_is_the_diagram_only(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", "gpt_neox", "--format", "mermaid"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "flowchart TB"
    assert '  subgraph attention["attention"]' in lines


@pytest.mark.parametrize("model_type", known_types())
def test_every_card_can_be_shown(capsys: pytest.CaptureFixture[str], model_type: str) -> None:
    assert run(["inspect", model_type]) == 0
    assert "logits" in capsys.readouterr().out


def test_survey_shows_errors_and_the_next_best(surveyed: Surveyed, capsys: pytest.CaptureFixture[str]) -> None:
    asked = surveyed(understood("llama"))
    assert run(["inspect", "llama", "--survey"]) == 0
    shown = capsys.readouterr().out
    assert asked == ["llama"]
    assert "by experiment in 17 s; the model rebuilt from it differs in logits by 1.3e-06, 2.4e-06" in shown
    assert re.search(r"^positions.layout +half +1.8e-15, next interleaved", shown, re.MULTILINE)
    assert re.search(r"^mlp.kind +gated +the model rebuilt with it agrees", shown, re.MULTILINE)
    assert re.search(r"^initialization.std .* no evidence", shown, re.MULTILINE)
    assert "The card says otherwise" not in shown


def test_survey_that_differs_from_the_card_is_told(surveyed: Surveyed, capsys: pytest.CaptureFixture[str]) -> None:
    surveyed(understood("llama", positions=Positions(layout="interleaved")))
    assert run(["inspect", "llama", "--survey"]) == 0
    assert "The card says otherwise\n  positions.layout: half, the survey: interleaved" in capsys.readouterr().out


def test_type_without_a_card_is_surveyed(surveyed: Surveyed, capsys: pytest.CaptureFixture[str]) -> None:
    asked = surveyed(not_understood("mamba"))
    assert run(["inspect", "mamba"]) == 1
    shown = capsys.readouterr().out
    assert asked == ["mamba"]
    assert "mamba: not understood" in shown
    assert "what feeds what in a layer: 2 places where positions mix [nettle.py:51]" in shown
    assert "1 * soil" in shown


def test_what_is_known_around_an_unknown_module_is_shown(
    surveyed: Surveyed, capsys: pytest.CaptureFixture[str]
) -> None:
    surveyed(partly_understood("mamba"))
    assert run(["inspect", "mamba"]) == 1
    shown = capsys.readouterr().out
    assert "grouped-query attention and an MLP that is unknown" in shown
    assert re.search(r"^breadth +64 +breadth +breadth: 41: logits move by inf", shown, re.MULTILINE)
    assert re.search(r"│ +mlp +unknown: no experiment explains what it computes", shown)
    assert re.search(r"^model.layers.\*.mlp.wide.weight +Breadth, Embed +262,144 +32", shown, re.MULTILINE)
    assert "mlp.kind" not in shown
    assert "Unknown\n  what feeds what in a layer: 2 places where positions mix [nettle.py:39]" in shown


def test_what_is_unknown_stands_in_json_and_stops_a_diagram(
    surveyed: Surveyed, capsys: pytest.CaptureFixture[str]
) -> None:
    surveyed(not_understood("mamba"))
    assert run(["inspect", "mamba", "--json"]) == 1
    data = json.loads(capsys.readouterr().out)
    assert data["unknown"][0]["where"] == "nettle.py:51"
    assert "attention" not in data
    assert run(["inspect", "mamba", "--format", "mermaid"]) == 2
    assert "field twist" in capsys.readouterr().err


def test_folder_with_code_of_its_own_has_it_as_reference(
    surveyed: Surveyed, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = surveyed(understood("willow", reference=None))
    assert run(["inspect", str(INVENTED / "willow"), "--trust-remote-code"]) == 0
    assert asked == [str(INVENTED / "willow")]
    shown = capsys.readouterr().out
    assert "willow.WillowForCausalLM, code that comes with the checkpoint" in shown
    assert "vocabulary of 512" in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["lllama"], "did you mean 'llama'?"),
        (["no/such/folder"], "there is no folder no/such/folder"),
        (["."], "config.json can't be read"),
        (["llama", "--trust-remote-code"], "llama is no folder"),
        (["llama", "--json", "--format", "mermaid"], "contradict"),
        (["llama", "--format", "svg"], "svg"),
        ([str(INVENTED / "willow")], "willow.py"),
    ],
    ids=str,
)
def test_bad_input_is_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["inspect", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err


def test_documented_example_is_what_it_prints(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "inspect.md").read_text(encoding="utf-8")
    monkeypatch.setenv("COLUMNS", "100")
    assert run(["inspect", "gemma2"]) == 0
    shown = "\n".join(line.rstrip() for line in capsys.readouterr().out.splitlines())
    assert shown[shown.index("Dataflow") : shown.index("Fixed by")].strip() in page
    assert run(["inspect", "gpt2", "--format", "mermaid"]) == 0
    assert capsys.readouterr().out.strip() in page
