"""What commands that write files print and ask, word for word."""

import io
import json

import pytest

from levgen.cli import writing
from levgen.cli.writing import WriteOptions, write_files
from levgen.errors import LevgenError
from levgen.scaffold import journal
from levgen.scaffold.files import PlannedFile

FILES = [PlannedFile("models/a.py", "x = 1\n"), PlannedFile("README.md", "ours\n")]


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "demo"
    folder.mkdir()
    (folder / "README.md").write_text("mine\n")
    return folder


@pytest.fixture
def person(monkeypatch):
    """Someone at the terminal who types these lines."""

    def types(*lines):
        monkeypatch.setattr(writing, "can_ask", lambda: True)
        monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines)))

    return types


def test_the_tree_and_the_next_commands(tmp_path, root, capsys):
    write_files(root.parent / "new", FILES, WriteOptions(), ["cd new && pytest"])
    assert capsys.readouterr().out == ("new/\n├── models/\n│   └── a.py\n└── README.md\n\nNext:\n  cd new && pytest\n")
    write_files(root.parent / "new", FILES, WriteOptions(), ["cd new && pytest"])
    assert capsys.readouterr().out.endswith("(unchanged)\n\nNothing to write: all of it is there.\n")


@pytest.mark.parametrize("options", [WriteOptions(dry_run=True), WriteOptions(dry_run=True, force=True)])
def test_dry_run(root, capsys, options):
    write_files(root, FILES, options, ["never"])
    out = capsys.readouterr().out
    assert out.endswith("\nNothing was written (--dry-run).\n")
    assert ("(overwritten)" if options.force else "(differs)") in out
    assert "never" not in out
    assert [path.name for path in root.iterdir()] == ["README.md"]


def test_diff(root, capsys):
    write_files(root, FILES, WriteOptions(diff=True))
    out, err = capsys.readouterr()
    assert "--- /dev/null\n+++ b/models/a.py\n@@ -0,0 +1 @@\n+x = 1\n" in out
    assert "--- a/README.md\n+++ b/README.md\n@@ -1 +1 @@\n-mine\n+ours\n" in out
    assert err == "Nothing was written (--diff).\n"
    assert (root / "README.md").read_text() == "mine\n"


def test_json(root, capsys):
    write_files(root, FILES, WriteOptions(json=True, dry_run=True, diff=True))
    report = json.loads(capsys.readouterr().out)
    assert (report["written"], report["files"][1]) == (False, {"path": "README.md", "action": "conflict"})
    assert "+ours" in report["diff"]
    write_files(root, FILES, WriteOptions(json=True, skip=True), ["never"])
    report = json.loads(capsys.readouterr().out)
    assert (report["written"], report["files"][1]["action"]) == (True, "keep")


def test_a_conflict_without_a_person_is_refused(root, person, capsys):
    for options in (WriteOptions(), WriteOptions(json=True)):
        with pytest.raises(LevgenError, match=r"README\.md"):
            write_files(root, FILES, options)
        person("yes")  # who is not asked when a program reads the answer
    assert not (root / "models").exists()
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("typed", "text", "label"),
    [
        (["yes"], "ours\n", "(overwritten)"),
        (["what", "y"], "ours\n", "(overwritten)"),
        (["diff", "no"], "mine\n", "(kept: yours differs)"),
        ([""], "mine\n", "(kept: yours differs)"),
    ],
)
def test_a_person_is_asked(root, person, capsys, typed, text, label):
    person(*typed)
    write_files(root, FILES, WriteOptions())
    assert (root / "README.md").read_text() == text
    assert (root / "models/a.py").exists()
    out, err = capsys.readouterr()
    assert label in out
    assert err.count("README.md is there and differs. Overwrite it? [no/yes/diff]") == len(typed)
    assert ("-mine\n+ours\n" in err) == ("diff" in typed)
    assert ("  yes: overwrite it\n" in err) == ("what" in typed)


def test_the_end_of_the_input_writes_nothing(root, person):
    person()
    with pytest.raises(EOFError):
        write_files(root, FILES, WriteOptions())
    assert not (root / "models").exists()


@pytest.mark.parametrize("dry_run", [False, True])
def test_force_and_skip_contradict(root, dry_run):
    with pytest.raises(LevgenError, match="contradict"):
        write_files(root, FILES, WriteOptions(force=True, skip=True, dry_run=dry_run))


def test_an_interrupted_write_is_finished_first(root, capsys, monkeypatch):
    """Killed between two renames, the same command run again completes it and finds nothing else to do."""

    class Killed(BaseException):
        pass

    def killed(step):
        if step == "replaced":
            raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(journal, "checkpoint", killed)
        with pytest.raises(Killed):
            write_files(root, FILES, WriteOptions(force=True))
    assert (root / "models/a.py").exists()
    assert (root / "README.md").read_text() == "mine\n"

    write_files(root, FILES, WriteOptions(dry_run=True))
    assert "was interrupted; the next one finishes it first" in capsys.readouterr().err
    assert (root / "README.md").read_text() == "mine\n"
    write_files(root, FILES, WriteOptions())
    out, err = capsys.readouterr()
    assert err == f"note: finished a write in {root} that was interrupted\n"
    assert out.endswith("Nothing to write: all of it is there.\n")
    assert (root / "README.md").read_text() == "ours\n"
