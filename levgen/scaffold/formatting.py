"""Formatting what the templates wrote: ruff drops unused imports and lays the code out, the same on every machine."""

import subprocess

from ruff import find_ruff_bin

from levgen.errors import LevgenError

# A person's own ruff settings and folders don't reach here, so that the output is the same in every project.
_STYLE = ["--isolated", "--line-length=120", "--target-version=py311", "--quiet", "--config=src=[]"]


def format_python(source: str, *, first_party: str | None = None) -> str:
    """`source` with unused imports dropped, imports sorted, and ruff's layout.

    Args:
        first_party: the package whose imports come last, in a block of their own.
    """
    sections = [f"--config=lint.isort.known-third-party={['levgen']}"]
    if first_party is not None:
        sections.append(f"--config=lint.isort.known-first-party={[first_party]}")
    pruned = _ruff(["check", *_STYLE, *sections, "--select=F401,I", "--fix-only", "-"], source)
    return _ruff(["format", *_STYLE, "-"], pruned)


def _ruff(arguments: list[str], source: str) -> str:
    done = subprocess.run([find_ruff_bin(), *arguments], input=source, capture_output=True, text=True, check=False)
    if done.returncode:
        hint = "this is a fault of levgen: please report it"
        raise LevgenError(f"ruff could not format a generated file: {done.stderr.strip()}", hint)
    return done.stdout
