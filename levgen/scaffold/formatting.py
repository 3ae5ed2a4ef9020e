"""Formatting what the templates wrote: ruff drops unused imports and lays the code out, the same on every machine."""

import contextlib
import subprocess
from typing import IO

from ruff import find_ruff_bin

from levgen.errors import LevgenError

# A person's own ruff settings and folders don't reach here, so that the output is the same in every project.
_STYLE = ["--isolated", "--line-length=120", "--target-version=py311", "--quiet", "--config=src=[]"]


class Formatting:
    """`source` on its way through ruff, in processes of its own while the caller goes on: `result` waits for it.

    Unused imports are dropped, imports are sorted, and the code is laid out.

    Args:
        first_party: the package whose imports come last, in a block of their own.
    """

    def __init__(self, source: str, *, first_party: str | None = None) -> None:
        sections = [f"--config=lint.isort.known-third-party={['levgen']}"]
        if first_party is not None:
            sections.append(f"--config=lint.isort.known-first-party={[first_party]}")
        self._check = _start(["check", *_STYLE, *sections, "--select=F401,I", "--fix-only", "-"], subprocess.PIPE)
        self._format = _start(["format", *_STYLE, "-"], self._check.stdout)
        assert self._check.stdin is not None
        assert self._check.stdout is not None
        self._check.stdout.close()  # it is the other process's now
        # ruff reads all of its input before it writes, so this can't wait for us.
        with contextlib.suppress(BrokenPipeError), self._check.stdin as stream:
            stream.write(source.encode())

    @property
    def result(self) -> str:
        """The formatted source. Raises LevgenError where it is no Python."""
        formatted, problem = self._format.communicate()
        with self._check.stderr or contextlib.nullcontext():
            problem = (self._check.stderr.read() if self._check.stderr else b"") + problem
        if self._check.wait() or self._format.returncode:
            hint = "this is a fault of levgen: please report it"
            raise LevgenError(f"ruff could not format a generated file: {problem.decode().strip()}", hint)
        return formatted.decode()


def format_python(source: str, *, first_party: str | None = None) -> str:
    """The result of `Formatting`, waited for."""
    return Formatting(source, first_party=first_party).result


def _start(arguments: list[str], source: "IO[bytes] | int | None") -> "subprocess.Popen[bytes]":
    command = [find_ruff_bin(), *arguments]
    return subprocess.Popen(command, stdin=source, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
