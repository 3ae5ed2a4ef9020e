"""The plan of files: what it finds, what it refuses, what it writes."""

import errno
import os
import stat
import tempfile
import traceback
from pathlib import Path

import pytest

from levgen.errors import LevgenError
from levgen.scaffold.files import Action, PlannedFile, plan_files, settle
from levgen.scaffold.journal import JOURNAL

FILES = [PlannedFile("config/a.yaml", "a: 1\n"), PlannedFile("models/a.py", "x = 1\n")]


def snapshot(root):
    """Every file and folder under `root` with its bytes and mode."""
    return {
        str(path.relative_to(root)): (stat.S_IMODE(path.lstat().st_mode), path.read_bytes() if path.is_file() else None)
        for path in sorted(root.rglob("*"))
    }


def actions(plan):
    return [change.action for change in plan.changes]


@pytest.fixture
def project(tmp_path):
    """A folder with content, so that files are added through the journal."""
    root = tmp_path / "project"
    root.mkdir()
    (root / "README.md").write_text("mine\n")
    return root


@pytest.mark.parametrize("made", ["missing", "missing parents", "empty", "empty and current", "with content"])
def test_writes_into_any_folder(tmp_path, monkeypatch, made):
    root = tmp_path / ("a/b/root" if made == "missing parents" else "root")
    if "missing" not in made:
        root.mkdir(mode=0o750)
    if made == "empty and current":
        monkeypatch.chdir(root)
    if made == "with content":
        (root / "README.md").write_text("mine\n")
    inode = root.stat().st_ino if made == "empty and current" else None
    plan_files(root, FILES).write()
    assert {path: data for path, (_, data) in snapshot(root).items() if data is not None and path != "README.md"} == {
        "config/a.yaml": b"a: 1\n",
        "models/a.py": b"x = 1\n",
    }
    assert [path.name for path in tmp_path.iterdir()] == [root.relative_to(tmp_path).parts[0]]
    if "missing" not in made:
        assert stat.S_IMODE(root.stat().st_mode) == 0o750
    if inode is not None:
        assert os.stat(".").st_ino == inode
        assert os.listdir() == sorted(os.listdir(), key=["config", "models"].index)


def test_the_second_time_nothing_changes(project):
    plan_files(project, FILES).write()
    before = snapshot(project), (project / "models/a.py").stat().st_mtime_ns
    plan = plan_files(project, FILES)
    assert actions(plan) == [Action.UNCHANGED, Action.UNCHANGED]
    plan.write()
    assert (snapshot(project), (project / "models/a.py").stat().st_mtime_ns) == before
    assert plan.diff() == ""


def test_a_file_that_differs_is_refused_forced_kept_or_asked_about(project):
    (project / "models").mkdir()
    mine = project / "models/a.py"
    mine.write_text("mine\n")
    before = snapshot(project)
    plan = plan_files(project, FILES)
    assert actions(plan) == [Action.CREATE, Action.CONFLICT]
    for attempt in (plan.write, lambda: settle(plan)):
        with pytest.raises(LevgenError, match=r"nothing was written:\n  models/a\.py") as caught:
            attempt()
        assert "--force" in caught.value.hint
    with pytest.raises(LevgenError, match="contradict"):
        settle(plan, force=True, skip=True)
    assert snapshot(project) == before

    asked = []
    settle(plan, ask=lambda change: bool(asked.append(str(change.path)))).write()
    assert asked == ["models/a.py"]
    assert mine.read_text() == "mine\n"
    assert (project / "config/a.yaml").exists()
    settle(plan_files(project, FILES), skip=True).write()
    assert mine.read_text() == "mine\n"
    settle(plan_files(project, FILES), ask=lambda change: True).write()
    assert mine.read_text() == "x = 1\n"
    mine.write_text("mine\n")
    settle(plan_files(project, FILES), force=True).write()
    assert mine.read_text() == "x = 1\n"


def test_an_edit_of_what_is_there_is_no_conflict(project):
    edit = PlannedFile("README.md", "mine\nand more\n", replaces="mine\n")
    assert actions(plan_files(project, [edit])) == [Action.UPDATE]
    plan_files(project, [edit]).write()
    assert (project / "README.md").read_text() == "mine\nand more\n"
    (project / "README.md").write_text("theirs\n")
    assert actions(plan_files(project, [edit])) == [Action.CONFLICT]


def test_line_ends_and_modes_of_the_user_are_kept(project):
    script = project / "run.sh"
    script.write_bytes(b"one\r\ntwo\r\n")
    script.chmod(0o741)
    assert actions(plan_files(project, [PlannedFile("run.sh", "one\ntwo\n")])) == [Action.UNCHANGED]
    settle(plan_files(project, [PlannedFile("run.sh", "one\nthree\n")]), force=True).write()
    assert script.read_bytes() == b"one\r\nthree\r\n"
    assert stat.S_IMODE(script.stat().st_mode) == 0o741


def test_new_files_follow_the_umask(project):
    old = os.umask(0o027)
    try:
        plan_files(project, FILES).write()
        plan_files(project.parent / "new", FILES).write()
    finally:
        os.umask(old)
    for root in (project, project.parent / "new"):
        assert stat.S_IMODE((root / "models/a.py").stat().st_mode) == 0o640
        assert stat.S_IMODE((root / "models").stat().st_mode) == 0o750
    assert stat.S_IMODE((project.parent / "new").stat().st_mode) == 0o750


def test_a_file_that_is_not_utf8_differs(project):
    (project / "README.md").write_bytes(b"caf\xe9\n")
    plan = plan_files(project, [PlannedFile("README.md", "café\n")])
    assert actions(plan) == [Action.CONFLICT]
    assert "README.md is not UTF-8" in plan.diff()


def test_the_diff_can_be_applied(project):
    (project / "README.md").write_bytes(b"one\ntwo\x0bstill two\nthree")
    plan = plan_files(project, [PlannedFile("README.md", "one\n2\nthree\n"), PlannedFile("b.txt", "new\n")])
    assert plan.diff() == (
        "--- a/README.md\n+++ b/README.md\n@@ -1,3 +1,3 @@\n one\n-two\x0bstill two\n-three\n"
        "\\ No newline at end of file\n+2\n+three\n"
        "--- /dev/null\n+++ b/b.txt\n@@ -0,0 +1 @@\n+new\n"
    )


@pytest.mark.parametrize("path", ["", "/etc/x", "../x", "a/../../x", "a\\x", "C:x", "a\0b", "."])
def test_paths_that_leave_are_refused(project, path):
    with pytest.raises(LevgenError, match="inside the project"):
        plan_files(project, [PlannedFile(path, "")])


def test_two_files_that_would_be_one_are_refused(project):
    with pytest.raises(LevgenError, match="are one"):
        plan_files(project, [PlannedFile("a.py", ""), PlannedFile("./a.py", "")])
    with pytest.raises(LevgenError, match="ignores case"):
        plan_files(project, [PlannedFile("a.py", ""), PlannedFile("A.py", "")])
    with pytest.raises(LevgenError, match="as a folder for a/b"):
        plan_files(project, [PlannedFile("a", ""), PlannedFile("a/b", "")])


def test_links_that_leave_are_refused_and_links_inside_followed(project):
    outside = project.parent / "outside"
    outside.mkdir()
    (project / "models").symlink_to(outside)
    (project / "config").mkdir()
    (project / "config/a.yaml").symlink_to(outside / "new.yaml")
    for file in reversed(FILES):
        with pytest.raises(LevgenError, match="leads out of"):
            plan_files(project, [file])
    (project / "config/a.yaml").unlink()
    (project / "config/a.yaml").symlink_to("a.yaml")
    with pytest.raises(LevgenError, match="circle"):
        plan_files(project, FILES[:1])

    (project / "config/a.yaml").unlink()
    (project / "config/a.yaml").symlink_to("../README.md")
    settle(plan_files(project, FILES[:1]), force=True).write()
    assert (project / "config/a.yaml").is_symlink()
    assert (project / "README.md").read_text() == "a: 1\n"
    assert list(outside.iterdir()) == []


def test_what_is_no_file_is_refused(project):
    (project / "models/a.py").mkdir(parents=True)
    with pytest.raises(LevgenError, match="is a folder, expected a file"):
        plan_files(project, FILES)
    with pytest.raises(LevgenError, match=r"README\.md is a file, expected a folder"):
        plan_files(project, [PlannedFile("README.md/x", "")])
    with pytest.raises(LevgenError, match="is a file, expected a folder"):
        plan_files(project / "README.md", FILES)
    os.mkfifo(project / "pipe")
    with pytest.raises(LevgenError, match="no regular file"):
        plan_files(project, [PlannedFile("pipe", "")])


def test_a_file_that_changes_after_the_plan_is_not_overwritten(project):
    plan = settle(plan_files(project, [PlannedFile("README.md", "ours\n")]), force=True)
    (project / "README.md").write_text("newer\n")
    with pytest.raises(LevgenError, match="changed while"):
        plan.write()
    assert list(snapshot(project)) == ["README.md"]
    assert (project / "README.md").read_text() == "newer\n"


def test_the_report(project):
    plan = plan_files(project, [*FILES, PlannedFile("README.md", "mine\n")])
    assert plan.as_json(written=False) == {
        "root": str(project),
        "written": False,
        "files": [
            {"path": "config/a.yaml", "action": "create"},
            {"path": "models/a.py", "action": "create"},
            {"path": "README.md", "action": "unchanged"},
        ],
    }


FAILING = [("fsync", errno.ENOSPC), ("rename", errno.EACCES), ("replace", errno.ENOSPC), ("fchmod", errno.EPERM)]


@pytest.mark.parametrize(("call", "code"), FAILING)
@pytest.mark.parametrize("after", range(6))
def test_an_error_of_the_system_leaves_the_folder_as_it_was(project, monkeypatch, call, code, after):
    files = [PlannedFile("README.md", "ours\n"), *FILES]
    plan = settle(plan_files(project, files), force=True)
    before = snapshot(project)
    real, calls = getattr(os, call), []

    def failing(*args, **kwargs):
        calls.append(args)
        if len(calls) == after + 1:
            raise OSError(code, os.strerror(code))
        return real(*args, **kwargs)

    monkeypatch.setattr(os, call, failing)
    try:
        plan.write()
    except LevgenError as error:
        assert os.strerror(code) in error.message  # noqa: PT017
        assert snapshot(project) == before
    else:
        assert len(calls) <= after, "the error was swallowed"
        assert (project / "README.md").read_text() == "ours\n"
    assert not (project / JOURNAL).exists()


def _run_as_nobody(work):
    """Runs `work` in a child process without root's rights. Returns its exit code: 2 where permission is denied."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            if os.geteuid() == 0:
                os.setgid(65534)
                os.setuid(65534)
            work()
            code = 0
        except LevgenError as error:
            code = 2 if "Permission denied" in error.message else 3
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.filterwarnings("ignore:os.fork\\(\\) was called:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_read_only_folder_is_refused():
    # Not tmp_path: pytest's folders are closed to other users.
    with tempfile.TemporaryDirectory() as scratch:
        os.chmod(scratch, 0o755)
        root = Path(scratch) / "project"
        (root / "models").mkdir(parents=True)
        (root / "README.md").write_text("mine\n")
        for folder in (root, root / "models"):
            folder.chmod(0o555)
        before = snapshot(root)
        assert _run_as_nobody(lambda: plan_files(root, FILES).write()) == 2
        assert _run_as_nobody(lambda: plan_files(root / "new", FILES).write()) == 2
        assert snapshot(root) == before
        root.chmod(0o777)  # staging succeeds and the folder in it refuses: what was done is undone
        before = snapshot(root)
        assert _run_as_nobody(lambda: plan_files(root, FILES).write()) == 2
        assert snapshot(root) == before
        for folder in (root, root / "models"):
            folder.chmod(0o755)
