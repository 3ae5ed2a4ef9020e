"""`levgen generate` as it is called: from a run's checkpoint and from the folder that it was converted to."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from levgen.cli.app import run
from levgen.training import data_dir

EXAMPLE = Path(__file__).parents[1] / "training" / "project"
SMALL = ["--set", "model.num_layers=1", "--set", "model.hidden_dim=16", "--set", "trainer.tracker.type=noop"]
YAML = "config/tiny.yaml"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project whose model has been trained for two steps, and converted to the folder `out`."""
    folder = tmp_path_factory.mktemp("generate") / "project"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(EXAMPLE, folder, ignore=ignored)
    shutil.copytree(data_dir(), folder / "data", ignore=ignored)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert run(["train", YAML, *SMALL, "--steps", "2"]) == 0
        assert run(["convert", YAML, *SMALL, "--to", "out"]) == 0
        yield folder


def _texts(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, object]]:
    capsys.readouterr()
    assert run(["generate", *arguments, "--json"]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_checkpoint_and_folder_go_on_alike(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["--prompt", "The", "--prompt", "A longer one", "--max-new-tokens", "5"]
    of_run = _texts(capsys, YAML, *SMALL, *asked)
    assert _texts(capsys, "out", *asked) == of_run
    assert [text["prompt"] for text in of_run] == ["The", "A longer one"]
    assert all(len(text["tokens"]) == 5 for text in of_run)  # type: ignore[arg-type]


def test_the_text_follows_the_prompt(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (text,) = _texts(capsys, "out", "--prompt", "The", "--max-new-tokens", "4")
    assert run(["generate", "out", "--prompt", "The", "--max-new-tokens", "4"]) == 0
    captured = capsys.readouterr()
    assert captured.out == f"The{text['text']}\n"
    assert re.search(r"the cache of earlier tokens took [\d,]+ bytes", captured.err)


def test_what_is_drawn_follows_from_the_seed(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    drawn = [
        _texts(capsys, "out", "--prompt", "The", "--temperature", "2", "--seed", seed)[0]["tokens"] for seed in "001"
    ]
    assert drawn[0] == drawn[1] != drawn[2]


def test_a_stop_token_ends_the_text(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (plain,) = _texts(capsys, "out", "--prompt", "The", "--max-new-tokens", "3")
    from tokenizers import Tokenizer

    first = plain["tokens"][0]  # type: ignore[index]
    token = Tokenizer.from_file(str(trained / "out" / "tokenizer.json")).id_to_token(first)
    (ended,) = _texts(capsys, "out", "--prompt", "The", "--max-new-tokens", "3", "--stop", token)
    assert (ended["tokens"], ended["stopped"]) == ([first], True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["ou"], "no such file: ou"),
        (["models"], "config.json"),
        (["out", "--step", "3"], "--step and --set belong to the YAML of a run"),
        ([YAML, *SMALL, "--step", "7"], "no checkpoint of step 7"),
        ([YAML, *SMALL, "--set", "trainer.id=other"], "no checkpoint in"),
        (["out", "--top-k", "3"], "top_k and top_p belong to sampling"),
        (["out", "--stop", "no such token"], "is no token of the tokenizer"),
        (["out", "--max-new-tokens", "1000"], "are more than the model's 32"),
    ],
)
def test_mistakes(trained: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    capsys.readouterr()
    assert run(["generate", *arguments, "--prompt", "x"]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.out == ""
