"""Paths of files to write, checked so that nothing is written outside the folder that the user named."""

import os
import stat
from pathlib import Path, PurePosixPath

from levgen.errors import LevgenError


def relative_path(text: str) -> PurePosixPath:
    """`text` as a relative POSIX path that stays inside its root, or LevgenError."""
    path = PurePosixPath(text)
    bad = not path.parts or path.is_absolute() or ".." in path.parts or "\\" in text or "\0" in text or ":" in text
    if bad:
        raise LevgenError(f"expected a relative path inside the project, got {text!r}")
    return path


def resolve_inside(root: Path, relative: PurePosixPath) -> Path:
    """The real file behind `root / relative`, through links inside the root.

    Raises LevgenError where a link leads out of the root, a folder on the way is a file, or the place is taken by
    something that is not a regular file.
    """
    shown = str(relative)
    real_root = root.resolve()
    try:
        target = (real_root / relative).resolve()
    except (OSError, RuntimeError) as error:
        raise LevgenError(f"{shown}: can't be resolved ({error})", "its symbolic links lead in a circle?") from error
    if not target.is_relative_to(real_root) or target == real_root:
        raise LevgenError(f"{shown}: a symbolic link leads out of {root}, to {target}", "levgen writes only inside")
    for folder in target.parents:
        if folder == real_root:
            break
        if folder.exists() and not folder.is_dir():
            raise LevgenError(f"{shown}: {folder.relative_to(real_root)} is a file, expected a folder")
    try:
        mode = os.lstat(target).st_mode
    except FileNotFoundError:
        return target
    if stat.S_ISLNK(mode):
        raise LevgenError(f"{shown}: its symbolic links lead in a circle")
    if stat.S_ISDIR(mode):
        raise LevgenError(f"{shown}: is a folder, expected a file or nothing", "move it away and try again")
    if not stat.S_ISREG(mode):
        raise LevgenError(f"{shown}: is no regular file", "move it away and try again")
    return target
