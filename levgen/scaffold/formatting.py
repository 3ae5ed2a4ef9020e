"""Formatting what the templates wrote: ruff drops the unused imports and lays the code out, the same on every machine."""

import subprocess

from ruff import find_ruff_bin

from levgen.errors import LevgenError

# A person's own ruff settings don't reach here (--isolated): the output is the same in every project.
_STYLE = ["--isolated", "--line-length=120", "--quiet"]


def format_python(source: str) -> str:
    """`source` with unused imports dropped, imports sorted, and ruff's layout."""
    pruned = _ruff(["check", *_STYLE, "--select=F401,I", "--fix-only", "--target-version=py311", "-"], source)
    return _ruff(["format", *_STYLE, "--target-version=py311", "-"], pruned)


def _ruff(arguments: list[str], source: str) -> str:
    done = subprocess.run([find_ruff_bin(), *arguments], input=source, capture_output=True, text=True, check=False)
    if done.returncode:
        hint = "this is a fault of levgen: please report it"
        raise LevgenError(f"ruff could not format a generated file: {done.stderr.strip()}", hint)
    return done.stdout
