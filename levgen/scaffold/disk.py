"""Steps of writing safely: to disk before going on, one process at a time, not interrupted half way."""

import hashlib
import os
import signal
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from levgen.errors import LevgenError


def store(path: Path, content: bytes, *, like: Path | None) -> None:
    """Writes a new file and waits until it is on disk; it gets the mode and owner of `like`."""
    with open(path, "xb") as file:
        file.write(content)
        if like is not None and hasattr(os, "fchmod"):
            status = like.stat()
            with suppress(PermissionError):
                os.fchown(file.fileno(), status.st_uid, status.st_gid)
            os.fchmod(file.fileno(), stat.S_IMODE(status.st_mode))
        file.flush()
        os.fsync(file.fileno())


def digest(data: bytes) -> str:
    """The SHA-256 of `data`, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def umask() -> int:
    """The mode bits that new files of this process don't get."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def sync_folder(folder: Path) -> None:
    """Waits until the names in `folder` are on disk."""
    if os.name == "nt":  # folders can't be opened there
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds a lock on `folder` that ends with the process; LevgenError where another process holds it."""
    if sys.platform == "win32":
        yield
        return
    import fcntl

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LevgenError(
                f"another levgen is writing in {folder.parent}", "try again when it has finished"
            ) from error
        yield
    finally:
        os.close(descriptor)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Lets signals that can wait (Ctrl-C, terminate, hang-up) wait."""
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
