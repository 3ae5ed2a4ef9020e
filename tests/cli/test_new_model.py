"""`levgen new-model` as a person uses it: what it writes, says, asks and refuses."""

import dataclasses
import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from canned_surveys import not_understood, partly_understood, understood

from levgen.architecture.card import parse_card
from levgen.architecture.catalogue import get
from levgen.cli.app import run
from levgen.survey.report import Survey

INVENTED = Path(__file__).parent.parent / "survey" / "invented"

FILES = {
    ".levgen/llama.yaml",
    ".levgen/rendered/llama.json",
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
        ".levgen/rendered/my_llama.json",
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
        (["mine", "--like", "lllama"], "did you mean 'llama'?"),
        (["llama", "--from", "/nowhere"], "expected a folder"),
        (["llama", "--set", 'activation="{{ 7*7 }}"'], "is not known"),
        (["llama", "--set", "title='}}{{'"], "no such answer or hyperparameter"),
        (["llama", "--set", "rope.kind=yarn"], "factor"),
        (["llama", "--force", "--skip"], "contradict"),
        (["mine", "--from", str(INVENTED / "willow")], "which levgen doesn't run unasked"),
        (["llama", "--trust-remote-code"], "belongs to --from FOLDER"),
        (["mine", "--like", "willow", "--from", str(INVENTED / "heron")], "contradicts"),
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


@pytest.fixture
def surveyed(monkeypatch: pytest.MonkeyPatch) -> Callable[[Survey], list[str]]:
    """`surveyed(survey)` is what every survey finds from now on; the list fills with what was asked."""

    def settle(survey: Survey) -> list[str]:
        asked: list[str] = []

        def answer(model: str | Path, *, trust_remote_code: bool) -> Survey:
            asked.append(str(model))
            return survey

        monkeypatch.setattr("levgen.cli.surveying.survey_model", answer)
        return asked

    return settle


@pytest.mark.parametrize("arguments", [["mamba"], ["mine", "--like", "mamba"]], ids=str)
def test_type_without_a_card_is_surveyed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], surveyed: Callable[[Survey], list[str]], arguments: list[str]
) -> None:
    asked = surveyed(understood("mamba"))
    assert run(["new-model", *arguments, "--dest", str(tmp_path)]) == 0
    assert asked == ["mamba"]
    said = capsys.readouterr().err
    assert "mamba has no card: surveyed in 17 s" in said
    assert "differs from the reference by logits 2.4e-06, gradients 3.1e-06 (relative error)" in said
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert run(["new-model", *arguments, "--dest", str(tmp_path)]) == 0
    assert "Nothing to write" in capsys.readouterr().out
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_the_record_keeps_the_evidence_of_a_survey(tmp_path: Path, surveyed: Callable[[Survey], list[str]]) -> None:
    found = understood("mamba")
    surveyed(found)
    assert run(["new-model", "mamba", "--dest", str(tmp_path)]) == 0
    record = (tmp_path / ".levgen/mamba.yaml").read_text()
    kept = yaml.safe_load(record)["survey"]
    assert kept["of"] == "mamba"
    assert kept["rebuilt"] == {"logits": [1.3e-6, 2.4e-6], "gradients": 3.1e-6}
    assert kept["evidence"][0] == {
        "question": "layout of rotary positions",
        "chosen": "half",
        "error": 1.8e-15,
        "runner_up": "interleaved",
        "runner_up_error": 2.0,
        "probe": "unit queries and keys",
    }
    # Another run of the same survey rounds differently: that is no difference of the model's.
    surveyed(dataclasses.replace(found, errors=(1.4e-6, 2.4e-6)))
    assert run(["new-model", "mamba", "--dest", str(tmp_path)]) == 0
    assert (tmp_path / ".levgen/mamba.yaml").read_text() == record


def test_what_is_not_understood_is_listed_and_nothing_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], surveyed: Callable[[Survey], list[str]]
) -> None:
    surveyed(not_understood("mamba"))
    assert run(["new-model", "mamba", "--dest", str(tmp_path / "demo")]) == 2
    said = capsys.readouterr().err
    assert "what feeds what in a layer: 2 places where positions mix [nettle.py:51]" in said
    assert "field twist: at 2 it changes what no question sees" in said
    assert "levgen new-model my_mamba --defaults" in said
    assert not (tmp_path / "demo").exists()


def test_what_is_unknown_in_one_module_is_a_stub_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], surveyed: Callable[[Survey], list[str]]
) -> None:
    surveyed(partly_understood("mamba"))
    assert run(["new-model", "mamba", "--dest", str(tmp_path)]) == 0
    out, err = capsys.readouterr()
    assert "Partly a stub: levgen doesn't know what this computes" in out
    assert "MambaMlp in models/mamba.py, which stands for model.layers.*.mlp" in out
    assert "observed:  what feeds what in a layer: 2 places where positions mix\n    reference: nettle.py:39" in out
    assert "levgen train" not in out
    assert "with what the reference gives in the places of stubs, differs from the reference by logits 2.4e-06" in err
    model = (tmp_path / "models/mamba.py").read_text()
    assert "wide: Linear  # Embed -> Breadth" in model
    assert "MambaMlp.__call__ is to be written" in model
    record = yaml.safe_load((tmp_path / ".levgen/mamba.yaml").read_text())
    assert record["architecture"]["unknown"]["mlp"]["where"] == "nettle.py:39"
    assert run(["list", "--dest", str(tmp_path)]) == 0
    assert "mamba  scaffolded  [to be written: MambaMlp]  [unproven" in capsys.readouterr().out
    assert run(["new-model", "mamba", "--dest", str(tmp_path), "--json"]) == 0
    stub = {"class": "MambaMlp", "file": "models/mamba.py", "module": "model.layers.*.mlp"}
    observed = "what feeds what in a layer: 2 places where positions mix"
    assert json.loads(capsys.readouterr().out)["stubs"] == [stub | {"observed": observed, "where": "nettle.py:39"}]


def test_dimensions_of_a_folder_whose_type_has_no_card(tmp_path: Path, surveyed: Callable[[Survey], list[str]]) -> None:
    """The type is surveyed, and the folder's own sizes become the defaults."""
    asked = surveyed(understood("mamba"))
    reference = {"hidden_size": 64, "model_type": "llama", "num_attention_heads": 4, "num_key_value_heads": 4}
    (tmp_path / "config.json").write_text(json.dumps(reference))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("levgen.scaffold.choose.find", lambda name: None)
        assert run(["new-model", "mine", "--from", str(tmp_path), "--dest", str(tmp_path / "demo")]) == 0
    assert asked == ["llama"]
    assert "hidden_dim: int = 64" in (tmp_path / "demo/models/mine.py").read_text()


def test_folder_with_code_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], surveyed: Callable[[Survey], list[str]]
) -> None:
    """Its tests say where the reference is from, import it only when told so, and are skipped without."""
    asked = surveyed(understood("willow", like="gpt_neox", reference=None))
    folder = str(INVENTED / "willow")
    arguments = ["new-model", "willow", "--from", folder, "--trust-remote-code", "--dest", str(tmp_path)]
    assert run(arguments) == 0
    assert asked == [folder]
    tests = (tmp_path / "tests/test_willow.py").read_text()
    assert 'folder=trusted_folder("willow")' in tests
    assert "LEVGEN_TRUST_REMOTE_CODE=FOLDER" in tests
    assert "rope=Rotary(theta=500.0, fraction=0.25)," in tests  # all that the code may read
    model = (tmp_path / "models/willow.py").read_text()
    assert 'model_type="willow"' in model
    assert "Reference: willow.WillowForCausalLM, code that comes with the checkpoint" in model
    assert folder not in "".join(path.read_text() for path in tmp_path.rglob("*willow*.*"))


def test_non_causal_type_of_transformers_is_a_blank(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["new-model", "clip", "--dest", str(tmp_path), "--defaults"]) == 0
    assert "transformers has a model called clip, and it is no causal language model" in capsys.readouterr().err


@pytest.mark.slow
def test_surveyed_type_is_written_twice_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As if Llama had no card: what the survey finds is what the card says, today and tomorrow."""
    pytest.importorskip("torch")
    monkeypatch.setattr("levgen.scaffold.choose.find", lambda name: None)
    for _ in range(2):
        assert run(["new-model", "llama", "--dest", str(tmp_path)]) == 0
    assert "Nothing to write" in capsys.readouterr().out
    recorded = yaml.safe_load((tmp_path / ".levgen/llama.yaml").read_text())["architecture"]
    assert parse_card(recorded, source="the record").groups() == get("llama").groups()


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("heron", marks=pytest.mark.slow),
        pytest.param("badger", marks=pytest.mark.exhaustive),
        pytest.param("cedar", marks=pytest.mark.exhaustive),
    ],
)
def test_model_of_a_folder_passes_its_own_tests(tmp_path: Path, name: str) -> None:
    """Two files that import one another; a norm without a name, and tied weights; weights that are stored {in, out}."""
    pytest.importorskip("torch")
    folder = INVENTED / name
    arguments = ["new-model", name, "--from", str(folder), "--trust-remote-code", "--dest", str(tmp_path)]
    assert run(arguments) == 0
    command = [sys.executable, "-m", "pytest", "-q", "-rs"]
    environment = {**os.environ, "LEVGEN_TRUST_REMOTE_CODE": str(folder)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    skipped = [line for line in done.stdout.splitlines() if line.startswith("SKIPPED")]
    assert all("can't be told where its tokens stand" in line for line in skipped)
    assert run(["check", str(tmp_path)]) == 0
