"""`levgen prove` and `levgen list`: what they print, write and exit with."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")


def levgen(*arguments, cwd):
    # As a user runs it: the tests' own settings of jax would leave it two devices.
    environment = {key: value for key, value in os.environ.items() if key not in ("XLA_FLAGS", "JAX_NUM_CPU_DEVICES")}
    command = [sys.executable, "-m", "levgen", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, env=environment)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    root = tmp_path_factory.mktemp("prove") / "demo"
    assert levgen("new-model", "gpt2", "--dest", str(root), cwd=root.parent).returncode == 0
    return root


def lines(text):
    """name -> status of the rungs that were printed."""
    return {line.split()[0]: line.split()[1] for line in text.split("\n\n")[0].splitlines()}


def test_list_of_a_fresh_model(project):
    done = levgen("list", cwd=project)
    assert (done.returncode, done.stdout) == (0, "gpt2  scaffolded  [unproven: levgen prove gpt2]\n")


def test_a_few_rungs_are_recorded_and_listed(project):
    before = {path: path.read_bytes() for path in (project / "models").glob("*.py")}
    done = levgen("prove", "gpt2", "--rung", "axes", "--rung", "parameters", cwd=project)
    assert done.returncode == 0, done.stderr + done.stdout
    assert lines(done.stdout) == dict.fromkeys(("imports", "traces", "axes", "parameters"), "passed")
    assert done.stdout.rstrip().endswith(": shapes")
    assert done.stderr == ""
    assert {path: path.read_bytes() for path in (project / "models").glob("*.py")} == before

    listed = json.loads(levgen("list", "--json", cwd=project).stdout)
    assert listed == [
        {
            "model": "gpt2",
            "status": "shapes",
            "levels": ["scaffolded", "traces", "shapes"],
            "stubs": [],
            "failed": [],
            "stale": [],
            "proven": True,
        }
    ]
    again = levgen("new-model", "gpt2", cwd=project)
    assert "Nothing to write" in again.stdout, "a proof in the record is no edit of the user's"

    verified = levgen("prove", "gpt2", "--verify", "--rung", "axes", cwd=project)
    assert (verified.returncode, verified.stdout) == (
        0,
        "gpt2: nothing is stale; scaffolded > traces > shapes\n",
    )
    tests = project / "tests" / "test_gpt2.py"
    tests.write_text(tests.read_text() + "# edited\n")
    assert levgen("list", cwd=project).stdout == (
        "gpt2  scaffolded > traces > shapes  [stale: levgen prove --verify runs it again]\n"
    )
    verified = levgen("prove", "gpt2", "--verify", "--rung", "axes", "--json", cwd=project)
    assert [rung["name"] for rung in json.loads(verified.stdout)["rungs"]] == ["imports", "traces", "axes"]


def test_a_wrong_model_exits_with_1_and_says_where(project, tmp_path):
    path = project / "models" / "gpt2.py"
    right = path.read_text()
    path.write_text(right.replace("self.act(self.c_fc(x))", "self.act(self.c_fc(x) - self.c_fc.bias)"))
    try:
        done = levgen("prove", "gpt2", "--rung", "modules", "--report", str(tmp_path / "out.html"), cwd=project)
    finally:
        path.write_text(right)
    assert done.returncode == 1
    assert lines(done.stdout)["modules"] == "failed"
    assert "First divergence\n  Gpt2Mlp: what `c_proj` is given differs at every position" in done.stdout
    assert "-> return self.c_proj(self.act(self.c_fc(x)))" in done.stdout
    page = (tmp_path / "out.html").read_text()
    assert "Gpt2Mlp" in page


def test_a_model_that_cannot_be_imported_fails_its_first_rung(project):
    path = project / "models" / "broken.py"
    path.write_text("import no_such_package\n")
    tests = project / "tests" / "test_broken.py"
    tests.write_text("TINY = None\n")
    try:
        done = levgen("prove", "broken", cwd=project)
    finally:
        path.unlink()
        tests.unlink()
    assert done.returncode == 1
    found = lines(done.stdout)
    assert found.pop("imports") == "failed"
    assert set(found.values()) == {"skipped"}
    assert "models/broken.py can't be imported: line 1: ModuleNotFoundError" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["gpt3"], "error: no model 'gpt3'"),
        (["gpt2", "--rung", "foward"], "error: there is no rung 'foward'\n  did you mean 'forward'?"),
        (["gpt2", "--checkpoint", "nowhere"], "error: --checkpoint nowhere: expected a folder"),
        (["gpt2", "--dest", "/"], "error: / is in no project"),
    ],
)
def test_a_mistake_in_the_call_exits_with_2(project, arguments, said):
    done = levgen("prove", *arguments, cwd=project)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(said)


def test_list_imports_nothing_heavy(project):
    code = (
        "import sys; from levgen.cli.app import run; run(['list']); "
        "print(sorted({'jax', 'torch', 'transformers', 'haliax', 'equinox'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=project, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.slow
def test_the_whole_ladder(project, tmp_path: Path):
    done = levgen("prove", "gpt2", "--report", str(tmp_path / "out.html"), cwd=project)
    assert done.returncode == 0, done.stdout
    found = lines(done.stdout)
    assert {name for name, status in found.items() if status == "skipped"} == {"checkpoint"}
    assert found["devices"] == "passed"
    assert "gpt2  scaffolded > traces > shapes > parity > gradients" in levgen("list", cwd=project).stdout
