"""`levgen add-module`: what it prints, which codes it exits with, and that it writes all or nothing."""

import json

import pytest

from levgen.cli.app import run
from levgen.project import find_project
from levgen.scaffold import journal
from levgen.scaffold.blank import blank
from levgen.scaffold.names import model_name
from levgen.scaffold.port import port_files


@pytest.fixture
def root(tmp_path, monkeypatch):
    """The folder of a project with a model of stubs."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'mine'\n")
    name = model_name("my_model")
    for file in port_files(blank(name), name, find_project(tmp_path)):
        path = tmp_path / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file.content)
    return tmp_path


def snapshot(root):
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_stub_is_filled(root, capsys):
    assert run(["add-module", "mlp"]) == 0
    out, err = capsys.readouterr()
    assert err == "note: fills MyModelMlp\n"
    assert [line.split("── ")[-1] for line in out.splitlines() if "(updated)" in line] == [
        "my_model.json  (updated)",
        "my_model.yaml      (updated)",
        "my_model.py        (updated)",
        "test_my_model.py   (updated)",
    ]
    assert out.endswith("\nNext:\n  pytest tests/test_my_model.py\n  levgen check\n")
    assert "silu" not in (root / "models/my_model.py").read_text().partition("class MyModelMlp")[2]
    assert "act=activation(config.activation)" in (root / "models/my_model.py").read_text()


def test_twice_is_refused(root, capsys):
    assert run(["add-module", "mlp"]) == 0
    before = snapshot(root)
    capsys.readouterr()
    assert run(["add-module", "mlp", "--to", "my-model"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "models/my_model.py has MyModelMlp already" in err
    assert "--name MyModelOtherMlp" in err
    assert snapshot(root) == before


@pytest.mark.parametrize("option", ["--dry-run", "--diff"])
def test_showing_writes_nothing(root, capsys, option):
    before = snapshot(root)
    assert run(["add-module", "attention", "--kind", "multi-head", option]) == 0
    out, err = capsys.readouterr()
    assert "Nothing was written" in out + err
    assert ("+        k_q, k_k, k_v, k_o = jrandom.split(key, 4)\n" in out) == (option == "--diff")
    assert snapshot(root) == before


def test_json(root, capsys):
    assert run(["add-module", "norm", "--json", "--dest", str(root)]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["written"] is True
    assert report["files"] == [
        {"path": "tests/test_my_model.py", "action": "update"},
        {"path": "models/my_model.py", "action": "update"},
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["atention"], "error: there is no module of the kind 'atention'\n  did you mean 'attention'?\n"),
        (["mlp", "--to", "mymodel"], "did you mean 'my_model'?"),
        (["mlp", "--to", "../my_model"], "there is no model '../my_model'"),
        (["mlp", "--kind", "gatd"], "error: --kind gatd: there is no such mlp\n  did you mean 'gated'?\n"),
        (["mlp", "--set", "mlp.kind"], "expected NAME=VALUE"),
        (["mlp", "--set", "mlp.kind=maybe"], "mlp.kind: expected"),
        (["mlp", "--name", "class"], "error: --name 'class': expected the name of a class"),
        (["mlp", "--name", "MyModelConfig"], "has MyModelConfig already"),
        (["mlp", "--dest", "elsewhere"], "elsewhere is in no project"),
        ([], "Missing argument 'kind'"),
    ],
)
def test_mistakes_exit_2_and_write_nothing(root, capsys, arguments, said):
    before = snapshot(root)
    assert run(["add-module", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert snapshot(root) == before


@pytest.mark.parametrize("name", ["models/my_model.py", "tests/test_my_model.py"])
def test_a_file_that_is_no_python_is_refused(root, capsys, name):
    path = root / name
    path.write_text(path.read_text() + "def broken(:\n")
    before = snapshot(root)
    assert run(["add-module", "mlp"]) == 2
    assert f"error: {name} is not valid Python: line " in capsys.readouterr().err
    assert snapshot(root) == before


def test_a_project_without_models(root, capsys):
    (root / "models/my_model.py").unlink()
    assert run(["add-module", "mlp"]) == 2
    assert "write one first: levgen new-model" in capsys.readouterr().err


def test_windows_line_ends_stay(root):
    for name in ("models/my_model.py", "tests/test_my_model.py", ".levgen/my_model.yaml"):
        path = root / name
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert run(["add-module", "mlp"]) == 0
    for data in map(snapshot(root).get, (root / "models/my_model.py", root / "tests/test_my_model.py")):
        assert data.count(b"\n") == data.count(b"\r\n") > 0


def test_model_tests_and_record_are_written_as_one(root, monkeypatch, capsys):
    """Killed between two renames, the next run finishes the first before it reads what is there."""

    class Killed(BaseException):
        pass

    def killed(step):
        if step == "replaced":
            raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(journal, "checkpoint", killed)
        with pytest.raises(Killed):
            run(["add-module", "mlp"])
    assert "MyModelMlp.init is to be written" in (root / "models/my_model.py").read_text()
    assert run(["add-module", "attention"]) == 0
    assert "note: finished a write in " in capsys.readouterr().err
    model = (root / "models/my_model.py").read_text()
    assert "MyModelMlp.init is to be written" not in model
    assert "MyModelAttention.init is to be written" not in model
