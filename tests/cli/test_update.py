"""`levgen update`: what levgen writes now, and what a person changed, in one file."""

import ast
from pathlib import Path

import pytest
import yaml

from levgen.cli.app import run

MODEL = Path("models/llama.py")


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    (tmp_path / "pyproject.toml").write_text('[tool.pytest.ini_options]\npythonpath = ["."]\n')
    monkeypatch.chdir(tmp_path)
    assert run(["new-model", "llama"]) == 0
    capsys.readouterr()
    return tmp_path


def _edit(before: str, after: str, path: Path = MODEL) -> None:
    text = path.read_text()
    assert text.count(before) == 1
    path.write_text(text.replace(before, after))


def _everything() -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}


def test_nothing_new_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    _edit("class LlamaMlp(", "# Mine.\nclass LlamaMlp(")
    before = _everything()
    assert run(["update"]) == 0
    assert "Nothing to write" in capsys.readouterr().out
    assert _everything() == before


def test_another_answer_and_an_edit_are_both_there() -> None:
    _edit("class LlamaMlp(", "# Mine.\nclass LlamaMlp(")
    assert run(["update", "llama", "--set", "attention.qk_norm=head"]) == 0
    text = MODEL.read_text()
    assert "# Mine.\nclass LlamaMlp(" in text
    assert "q_norm: RmsNorm" in text
    ast.parse(text)
    assert yaml.safe_load(Path(".levgen/llama.yaml").read_text())["architecture"]["attention"]["qk_norm"] == "head"
    # And back: the ancestor is what levgen wrote last, not what it wrote first.
    assert run(["update", "--set", "attention.qk_norm=none"]) == 0
    assert "q_norm" not in MODEL.read_text()
    assert "# Mine.\nclass LlamaMlp(" in MODEL.read_text()


LINE = "        q = rope(self.q_proj(x), pos_ids, HeadSize)\n"


def test_the_same_line_changed_by_both_is_refused_and_nothing_written(capsys: pytest.CaptureFixture[str]) -> None:
    _edit(LINE, LINE.rstrip() + "  # mine\n")
    before = _everything()
    assert run(["update", "--set", "attention.qk_norm=head"]) == 2
    error = capsys.readouterr().err
    line = MODEL.read_text().splitlines().index(LINE.rstrip() + "  # mine") + 1
    assert "you and levgen changed the same lines; nothing was written" in error
    assert f"  models/llama.py:{line}-" in error
    assert "--conflict markers" in error
    assert _everything() == before


@pytest.mark.parametrize(
    ("choice", "has", "has_not"),
    [
        ("mine", ["# mine"], ["self.q_norm(self.q_proj(x))", "<<<<<<<"]),
        ("levgen", ["self.q_norm(self.q_proj(x))"], ["# mine", "<<<<<<<"]),
        ("markers", ["<<<<<<< mine", "# mine", "=======", "self.q_norm(self.q_proj(x))", ">>>>>>> levgen"], []),
    ],
)
def test_what_stands_where_both_changed(choice: str, has: list[str], has_not: list[str]) -> None:
    _edit(LINE, LINE.rstrip() + "  # mine\n")
    assert run(["update", "--set", "attention.qk_norm=head", "--conflict", choice]) == 0
    text = MODEL.read_text()
    assert all(piece in text for piece in has)
    assert not any(piece in text for piece in has_not)


@pytest.mark.parametrize("option", ["--dry-run", "--diff"])
def test_shown_only(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = _everything()
    assert run(["update", "--set", "attention.qk_norm=head", option]) == 0
    captured = capsys.readouterr()
    assert "Nothing was written" in captured.out + captured.err
    assert "rendered" not in captured.out or option == "--dry-run"
    assert _everything() == before


def test_a_file_that_was_removed_stays_so(capsys: pytest.CaptureFixture[str]) -> None:
    Path("config/llama_nano.yaml").unlink()
    assert run(["update", "--set", "hidden_dim=512"]) == 0
    assert "config/llama_nano.yaml was removed, and stays so" in capsys.readouterr().err
    assert not Path("config/llama_nano.yaml").exists()


def test_without_the_ancestor_unedited_files_are_updated_and_edited_ones_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path(".levgen/rendered/llama.json").unlink()
    assert run(["update", "--set", "hidden_dim=512"]) == 0
    assert "hidden_dim: int = 512" in MODEL.read_text()
    Path(".levgen/rendered/llama.json").unlink()
    _edit("class LlamaMlp(", "# Mine.\nclass LlamaMlp(")
    # This levgen still writes what it wrote: the ancestor is known.
    assert run(["update", "--set", "hidden_dim=1024"]) == 0
    assert "# Mine." in MODEL.read_text()
    Path(".levgen/rendered/llama.json").unlink()
    record = Path(".levgen/llama.yaml")
    data = yaml.safe_load(record.read_text())
    data["files"]["models/llama.py"] = "sha256:" + "0" * 64  # as if another levgen had written it
    record.write_text(yaml.dump(data))
    before = _everything()
    assert run(["update", "--set", "hidden_dim=2048"]) == 2
    assert "models/llama.py was edited, and what levgen wrote before it is not known" in capsys.readouterr().err
    assert _everything() == before


def test_what_the_card_says_by_now_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    _edit("    output_bias: attention_bias\n", "", Path(".levgen/llama.yaml"))
    assert run(["update", "--dry-run"]) == 0
    assert "--set attention.output_bias=attention_bias takes them" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["update", "lama"], "did you mean 'llama'?"),
        (["update", "--set", "attention.qk_nrm=head"], "did you mean 'attention.qk_norm'"),
        (["update", "--conflict", "ours"], "expected one of 'refuse', 'markers', 'mine', 'levgen', got 'ours'"),
    ],
)
def test_refused(argv: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = _everything()
    assert run(argv) == 2
    assert message in capsys.readouterr().err
    assert _everything() == before


def test_no_record(capsys: pytest.CaptureFixture[str]) -> None:
    Path(".levgen/llama.yaml").unlink()
    assert run(["update"]) == 2
    assert ".levgen/llama.yaml is missing" in capsys.readouterr().err


def test_a_model_whose_stubs_were_filled_one_by_one() -> None:
    assert run(["new-model", "mine", "--defaults"]) == 0
    for kind in ("embeddings", "norm", "mlp", "attention", "decoder-layer", "transformer", "lm-head"):
        assert run(["add-module", kind, "--to", "mine"]) == 0
    path = Path("models/mine.py")
    before = path.read_text()
    assert run(["update", "mine"]) == 0
    assert path.read_text() == before
    assert run(["update", "mine", "--set", "mlp.kind=plain"]) == 0
    after = path.read_text()
    assert "gate_proj" in before
    assert "gate_proj" not in after
    # What `new-model` would have written otherwise is the person's, and stays.
    assert "class MineNorm(" in after
    assert "class MineEmbeddings(" in after
