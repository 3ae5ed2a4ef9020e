"""`levgen new-model` as a person uses it: what it writes, says, asks and refuses."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from levgen.cli.app import run

FILES = {
    ".levgen/llama.yaml",
    "config/llama.yaml",
    "config/llama_nano.yaml",
    "models/llama.py",
    "tests/test_llama.py",
}


def _files(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


def test_new_project_is_written_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["new-model", "llama", "--dest", str(tmp_path / "demo")]) == 0
    written = _files(tmp_path / "demo")
    assert written >= FILES | {"pyproject.toml", "README.md", "tests/conftest.py", ".gitignore", "data/train.jsonl"}
    printed = capsys.readouterr().out
    assert "llama_nano.yaml" in printed
    assert "levgen train config/llama_nano.yaml" in printed


def test_existing_project_gets_the_model_only(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[tool.levgen]\nmodels = "src/zoo"\ntests = "checks"\nconfig = "runs"\n')
    assert run(["new-model", "my-llama", "--like", "llama", "--dest", str(tmp_path)]) == 0
    assert _files(tmp_path) == {
        ".levgen/my_llama.yaml",
        "checks/test_my_llama.py",
        "pyproject.toml",
        "runs/my_llama.yaml",
        "runs/my_llama_nano.yaml",
        "src/zoo/my_llama.py",
    }
    model = (tmp_path / "src/zoo/my_llama.py").read_text()
    assert '@LmConfig.register_subclass("my_llama")' in model
    assert "class MyLlamaLMHeadModel(LmHeadModel)" in model


def test_dry_run_and_diff_write_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dest = tmp_path / "demo"
    assert run(["new-model", "llama", "--dest", str(dest), "--dry-run"]) == 0
    assert "Nothing was written" in capsys.readouterr().out
    assert run(["new-model", "llama", "--dest", str(dest), "--diff"]) == 0
    assert "+class LlamaAttention" in capsys.readouterr().out
    assert not dest.exists()


def test_edited_file_is_never_overwritten_unasked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["new-model", "llama", "--dest", str(tmp_path)]) == 0
    model = tmp_path / "models/llama.py"
    model.write_text(model.read_text() + "# mine\n")
    before = model.read_text()
    arguments = ["new-model", "llama", "--dest", str(tmp_path), "--set", "hidden_dim=64"]
    assert run(arguments) == 2
    assert "models/llama.py" in capsys.readouterr().err
    assert model.read_text() == before
    assert run([*arguments, "--skip"]) == 0
    assert model.read_text() == before
    assert run([*arguments, "--force"]) == 0
    assert "hidden_dim: int = 64" in model.read_text()


def test_json_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["new-model", "llama", "--dest", str(tmp_path / "demo"), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["written"] is True
    assert {file["path"] for file in report["files"]} >= FILES


def test_changed_answer_changes_the_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = ["--set", "attention.qk_norm=head", "--set", "mlp.kind=plain", "--set", "tie_word_embeddings=true"]
    assert run(["new-model", "llama", "--dest", str(tmp_path), *settings]) == 0
    model = (tmp_path / "models/llama.py").read_text()
    assert "q_norm: RmsNorm  # over HeadSize" in model
    assert "gate_proj" not in model
    assert "tie_word_embeddings: bool = True" in model
    assert "no model of transformers has this architecture" in capsys.readouterr().err
    assert "Ported" not in (tmp_path / "tests/test_llama.py").read_text()


def test_unknown_name_gives_stubs_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["new-model", "lama2", "--dest", str(tmp_path), "--defaults"]) == 0
    said = capsys.readouterr().err
    assert "levgen has no card for 'lama2'" in said
    assert "near name: llama" in said
    model = (tmp_path / "models/lama2.py").read_text()
    for part in ("Attention", "Mlp", "DecoderLayer", "Transformer", "Embeddings", "LMHeadModel"):
        assert f"class Lama2{part}(" in model
    assert 'raise NotImplementedError("Lama2Attention.__call__ is to be written")' in model
    assert "xfail(raises=NotImplementedError, strict=True" in (tmp_path / "tests/test_lama2.py").read_text()


@pytest.mark.slow
def test_tests_of_stubs_are_expected_failures(tmp_path: Path) -> None:
    assert run(["new-model", "lama2", "--dest", str(tmp_path), "--defaults"]) == 0
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    assert "xfailed" in done.stdout
    assert "Lama2Attention" in done.stdout


def test_terminal_is_asked_which_parts(tmp_path: Path) -> None:
    """Typed into a real terminal: a grouped attention, a gated MLP, the defaults, and a pre-norm layer."""
    parent, child = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "levgen", "new-model", "mine", "--dest", str(tmp_path / "demo")],
        stdin=child,
        stdout=child,
        stderr=child,
    )
    os.close(child)
    os.write(parent, b"grouped\ngated\n\n\npre-norm\n")
    shown = b""
    try:
        while chunk := os.read(parent, 4096):
            shown += chunk
    except OSError:  # Linux reports the end of a terminal this way
        pass
    assert process.wait() == 0, shown.decode()
    assert b"Which attention?" in shown
    model = (tmp_path / "demo/models/mine.py").read_text()
    assert "NotImplementedError" not in model
    assert "k_proj: Linear  # Embed -> (KVHeads, HeadSize)" in model


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["class"], "keyword"),
        (["numpy"], "numpy"),
        (["../x"], "path"),
        (["/etc/passwd"], "path"),
        (["ll\u0430ma"], "CYRILLIC"),
        ([""], "empty"),
        (["x" * 300], "64 characters"),
        (['a"b'], '"'),
        (["{{x}}"], "{"),
        (["mine", "--like", "lama"], "did you mean 'llama'?"),
        (["llama", "--from", "/nowhere"], "expected a folder"),
        (["llama", "--set", 'activation="{{ 7*7 }}"'], "is not known"),
        (["llama", "--set", "title='}}{{'"], "no such answer or hyperparameter"),
        (["llama", "--set", "rope.kind=yarn"], "factor"),
        (["llama", "--force", "--skip"], "contradict"),
        (["llama", "--forse"], "--forse"),
    ],
    ids=str,
)
def test_bad_input_is_refused_and_nothing_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    dest = tmp_path / "demo"
    assert run(["new-model", *arguments, "--dest", str(dest)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert not dest.exists()
