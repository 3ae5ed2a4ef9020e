"""Killed at any step, the folder is as before or complete, and the next run finishes what was begun."""

import os
import signal
import subprocess
import sys

import pytest

from levgen.errors import LevgenError
from levgen.scaffold.disk import locked
from levgen.scaffold.files import Action, PlannedFile, plan_files
from levgen.scaffold.journal import JOURNAL, recover

WRITER = """
import os, signal, sys
from pathlib import Path
from levgen.scaffold import journal
from levgen.scaffold.files import PlannedFile, plan_files, settle

root, at, fail = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "fail"
count = 0

def checkpoint(step):
    global count
    count += 1
    if count == at:
        print(step, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

journal.checkpoint = checkpoint
if fail:  # the second rename into place is refused, so that it rolls back
    real = os.replace
    def replace(source, target):
        if str(target).endswith("a.yaml") and not str(source).endswith(".old"):
            raise PermissionError(13, "refused", str(target))
        return real(source, target)
    os.replace = replace
texts = {"README.md": "ours\\n", "config/a.yaml": "a: 1\\n", "models/a.py": "x\\n"}
settle(plan_files(root, [PlannedFile(path, text) for path, text in texts.items()]), force=True).write()
"""
BEFORE = {"README.md": b"mine\n"}
AFTER = {"README.md": b"ours\n", "config/a.yaml": b"a: 1\n", "models/a.py": b"x\n"}


def kill_at(root, step, *, fail=False):
    """Runs the writer, killed at its `step`-th checkpoint. Returns the checkpoint's name, "" if it ended before."""
    done = subprocess.run(
        [sys.executable, "-c", WRITER, str(root), str(step), "fail" if fail else ""], capture_output=True, text=True
    )
    if done.returncode != -signal.SIGKILL:
        assert fail or done.returncode == 0, done.stderr
        return ""
    return done.stdout.strip()


def content(root):
    """The files of `root` by path, and its folders, apart from the journal."""
    paths = [path for path in root.rglob("*") if JOURNAL not in path.parts]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in paths if path.is_file()}


@pytest.mark.parametrize("fail", [False, True])
def test_killed_in_a_project(tmp_path, fail):
    seen = {}
    for step in range(1, 40):
        root = tmp_path / f"project{step}"
        root.mkdir()
        (root / "README.md").write_bytes(BEFORE["README.md"])
        name = kill_at(root, step, fail=fail)
        if not name:
            break
        left = content(root)
        if name in ("journal", "staged", "manifest", "committed"):
            assert left == BEFORE
        elif name in ("applied", "discarding") and not fail:
            assert left == AFTER
        finished = recover(root)
        whole = content(root)
        assert whole in (BEFORE, AFTER), (name, left)
        assert not (root / JOURNAL).exists()
        assert recover(root) is False
        folders = {path.name for path in root.iterdir() if path.is_dir()}
        assert folders == ({"config", "models"} if whole == AFTER else set())
        seen[name] = (finished, whole == AFTER)
    expected = {"journal", "staged", "manifest", "committed", "replaced", "discarding"}
    assert set(seen) == expected | ({"restored"} if fail else {"applied"})
    assert seen["committed"] == (True, True)
    assert seen["replaced"] == (True, True)
    assert seen["manifest"] == (False, False)
    assert fail is False or seen["restored"] == (True, False)


@pytest.mark.parametrize("made", ["missing", "empty"])
def test_killed_while_making_a_folder(tmp_path, made):
    seen = set()
    for step in range(1, 40):
        parent = tmp_path / str(step)
        root = parent / "demo"
        (root if made == "empty" else parent).mkdir(parents=True)
        name = kill_at(root, step)
        if not name:
            break
        seen.add(name)
        assert root.exists() == (made == "empty" or name == "renamed")
        assert content(root) == (AFTER if name == "renamed" else {})
        assert kill_at(root, 1000) == ""
        assert content(root) == AFTER
        assert [path.name for path in parent.iterdir()] == ["demo"]
    assert seen == {"staging", "staged", "complete", "renamed"}


def stop_after_commit(root):
    """Leaves an interrupted write in `root`: all staged, nothing in place."""
    step = next(step for step in range(1, 20) if kill_at(root, step) == "committed")
    assert step


@pytest.fixture
def interrupted(tmp_path):
    root = tmp_path / "project"
    root.mkdir()
    (root / "README.md").write_bytes(BEFORE["README.md"])
    stop_after_commit(root)
    return root


def test_the_next_write_finishes_the_interrupted_one(interrupted):
    plan = plan_files(interrupted, [PlannedFile("b.txt", "b\n")])
    assert [change.action for change in plan.changes] == [Action.CREATE]
    plan.write()
    assert content(interrupted) == {**AFTER, "b.txt": b"b\n"}


def test_a_file_changed_since_is_not_lost(interrupted):
    (interrupted / "README.md").write_text("newer\n")
    with pytest.raises(LevgenError, match=r"README\.md changed since"):
        recover(interrupted)
    assert content(interrupted) == {"README.md": b"newer\n"}
    assert (interrupted / JOURNAL).is_dir()


def test_a_damaged_manifest_is_reported(interrupted):
    (interrupted / JOURNAL / "forward.json").write_text("[")
    with pytest.raises(LevgenError, match="is damaged"):
        recover(interrupted)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no flock")
def test_another_levgen_at_work_is_left_alone(tmp_path):
    root = tmp_path / "project"
    (root / JOURNAL).mkdir(parents=True)
    plan = plan_files(root, [PlannedFile("a.txt", "a\n")])
    with locked(root / JOURNAL), pytest.raises(LevgenError, match="another levgen is writing"):
        plan.write()
    assert content(root) == {}
