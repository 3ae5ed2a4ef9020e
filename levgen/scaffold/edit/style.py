"""Keeping an edited file in its style: where ruff had nothing to change before the edit, it has nothing after."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from ruff import find_ruff_bin

# In a project without settings of its own, files may be as new-model wrote them.
_OURS = ("--isolated", "--line-length=120", "--target-version=py311")
_STEPS = (("check", "--select=F401", "--fix-only"), ("check", "--select=I", "--fix-only"), ("format",))


def restyle(before: str, after: str, path: Path) -> str:
    """`after`, an edit of `before`, with unused imports dropped, imports sorted and lines laid out by ruff.

    Each of the three is done only where `before` needed nothing of it: by the settings that hold for `path`, or else by
    those of new-model. So nothing changes but what the edit touched, and a file in another style is left in that.
    """
    for step in _STEPS:
        for settings in ((), _OURS):
            if not before or _ruff(step, settings, before, path) == before:
                after = _ruff(step, settings, after, path) or after
                break
    return after


def _ruff(step: Sequence[str], settings: Sequence[str], source: str, path: Path) -> str | None:
    """What ruff makes of `source`; None where it refuses, as it does under settings that it can't read."""
    command = [find_ruff_bin(), *step, *settings, "--quiet", "--no-cache", f"--stdin-filename={path}", "-"]
    folder = next(folder for folder in path.absolute().parents if folder.is_dir())
    done = subprocess.run(command, input=source, capture_output=True, cwd=folder, encoding="utf-8", check=False)
    return done.stdout if done.returncode == 0 and done.stdout else None
