"""Asking for a survey: what must be there and agreed to first, the process that does it, and its progress."""

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import levgen
from levgen.cli.console import is_terminal, print_note, printable
from levgen.errors import LevgenError

if TYPE_CHECKING:
    from levgen.survey.report import Survey

EXTRA = "pip install 'levgen[test]'"
_LAST_LINES = 5


def survey_model(model: str | Path, *, trust_remote_code: bool = False) -> "Survey":
    """What the model type or folder `model` is, found by experiment in a process of its own; progress on stderr.

    Raises LevgenError where torch or transformers is missing, where a folder's own code would have to run and
    `trust_remote_code` doesn't say so, and where the survey could not begin.
    """
    if isinstance(model, Path):
        announce_code(model, trust_remote_code=trust_remote_code)
    need_reference(model)
    # Not a bare name: a folder in the current directory may be called like a type.
    asked = str(model.resolve()) if isinstance(model, Path) else model
    command = [sys.executable, "-P", "-W", "ignore", "-m", "levgen.cli.survey_worker", asked]
    return _run(command + (["--trust-remote-code"] if trust_remote_code else []), str(model))


def announce_code(folder: Path, *, trust_remote_code: bool) -> None:
    """Says which code of `folder` will be run, if any. Raises LevgenError where nobody agreed to that."""
    from levgen.architecture.catalogue import find
    from levgen.reference.find import own_code
    from levgen.reference.hf_config import read_hf_config
    from levgen.reference.source import causal_type

    data = read_hf_config(folder)
    code = own_code(folder, data)
    if code is None:
        return
    listed = "\n".join(f"  {path}" for path in code.files)
    if not trust_remote_code:
        model_type = data["model_type"]
        known = find(model_type) is not None or causal_type(model_type) is not None
        raise LevgenError(
            f"{folder / 'config.json'} asks for code of its own (auto_map), which levgen doesn't run unasked. "
            f"It would import {code.config} and {code.model}, and with them may run:\n{listed}",
            "read it, then run it with --trust-remote-code"
            + (f"\nor remove auto_map, if the {model_type} of transformers is meant" if known else ""),
        )
    print_note(f"running code of {folder} in a process of its own, with your rights (--trust-remote-code):\n{listed}")


def need_reference(model: str | Path) -> None:
    """Raises LevgenError where what a survey of `model` needs is not installed."""
    missing = [package for package in ("torch", "transformers") if importlib.util.find_spec(package) is None]
    if not missing:
        return
    from levgen.architecture.catalogue import find, known_types, near_types

    name = model if isinstance(model, str) else model.name
    near = ", ".join(near_types(name) or known_types())
    cards = f"{name} has a card, which takes neither" if find(name) else f"or start from a card, with --like: {near}"
    raise LevgenError(
        f"to find out by experiment what {model} is takes {' and '.join(missing)}, not installed here",
        f"{EXTRA} brings what is missing (in a clone of levgen: pip install -e '.[test]')\n{cards}",
    )


def _run(command: list[str], model: str) -> "Survey":
    from levgen.survey.report import Survey

    with tempfile.TemporaryFile() as said, _progress(model) as show:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=said, text=True, encoding="utf-8", env=_environment()
        )
        try:
            last = _read(process, show)
            process.wait()
        finally:
            # Interrupted, or the reading failed: the survey must not go on alone.
            process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
        if "survey" in last:
            return Survey.from_data(last["survey"])
        if "error" in last:
            raise LevgenError(last["error"], last["hint"])
        said.seek(0)
        lines = said.read().decode("utf-8", "replace").splitlines()[-_LAST_LINES:]
    raise LevgenError(
        f"the survey of {model} ended without a result (exit code {process.returncode})", "\n".join(lines) or None
    )


def _environment() -> dict[str, str]:
    """Ours, where levgen itself can be imported: with -P, what lies in the current folder shadows no package."""
    ours = str(Path(levgen.__file__).parents[1])
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [ours, os.environ.get("PYTHONPATH")]))}


def _read(process: "subprocess.Popen[str]", show: Callable[[str], None]) -> dict[str, Any]:
    """Shows steps as they come; the last message that was none."""
    last: dict[str, Any] = {}
    assert process.stdout is not None
    for line in process.stdout:
        try:
            message: dict[str, Any] = json.loads(line)
        except json.JSONDecodeError:  # cut off by the end of the process
            break
        if "step" in message:
            show(message["step"])
        else:
            last = message
    return last


@contextlib.contextmanager
def _progress(model: str) -> Iterator[Callable[[str], None]]:
    """Shows what is being done on stderr: a line that changes where a person looks on, else one line at the start."""
    beginning = f"finding out by experiment what {printable(model)} is"
    if not is_terminal(sys.stderr):
        print_note(f"{beginning}, which takes up to a minute")
        yield lambda step: None
        return
    from rich.console import Console
    from rich.markup import escape

    with Console(stderr=True, highlight=False).status(escape(beginning)) as status:
        yield lambda step: status.update(escape(f"{printable(Path(model).name)}: {printable(step)}"))
