"""`python -m levgen.survey.sweep FOLDER`: surveys every causal language model of transformers and writes a table.

Each type runs in a process of its own, with a time limit, one at a time. A result is a file in FOLDER, and a type that
has one is not run again: an interrupted sweep goes on where it stopped.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

_HEAD = """# Types that were surveyed

Written by `python -m levgen.survey.sweep FOLDER --types @docs/dense_decoders.txt --table docs/survey.md`, not by hand;
FOLDER keeps the result of each type. With {versions}.

**{good} of {all} types** are surveyed and rebuilt: the model that is written from the answers agrees with transformers'
own, every parameter random, in fp32. *logits*: relative error in the tiny config, and in one where as many as build
together of the fields that answers are read from have another value (at most 1e-4). *gradients*: of the loss, in the
tiny config (at most 1e-3).
A type that isn't surveyed has the questions that no answer fits, what was observed, and where in the reference.

"""


def main(arguments: list[str] | None = None) -> int:
    """Runs the sweep, or one type of it (`--one`), and writes the table."""
    parser = argparse.ArgumentParser(
        prog="python -m levgen.survey.sweep", description=__doc__, fromfile_prefix_chars="@"
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--types", nargs="*", help="these types only; @FILE reads them from a file, one a line")
    parser.add_argument("--seconds", type=float, default=300, help="time limit of one type")
    parser.add_argument("--table", type=Path, help="where the table goes (FOLDER/table.md)")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    given.folder.mkdir(parents=True, exist_ok=True)
    if given.one:
        _write(given.folder, given.one, _survey(given.one))
        return 0
    swept = given.types or causal_types()
    for model_type in swept:
        if not _path(given.folder, model_type).exists():
            _run(given.folder, model_type, given.seconds)
            print(_row(json.loads(_path(given.folder, model_type).read_text())), flush=True)
    results = [json.loads(_path(given.folder, model_type).read_text()) for model_type in swept]
    (given.table or given.folder / "table.md").write_text(page(results), encoding="utf-8")
    return 0


def causal_types() -> list[str]:
    """The model types for which the installed transformers has a causal language model, sorted."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    return sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)


def page(results: list[dict[str, Any]]) -> str:
    """The results as a page of Markdown: how it is rebuilt, the counts, and a row a type."""
    good = sum(result["surveyed"] for result in results)
    return _HEAD.format(good=good, all=len(results), versions=_versions()) + table(results)


def table(results: list[dict[str, Any]]) -> str:
    """The results as a Markdown table, sorted by type."""
    rows = [_row(result) for result in sorted(results, key=lambda result: str(result["type"]))]
    return "\n".join(["| type | surveyed | logits | gradients | unknown |", "|---|---|---|---|---|", *rows, ""])


def _versions() -> str:
    from importlib.metadata import version

    return ", ".join(f"{package} {version(package)}" for package in ("transformers", "torch", "jax"))


def _run(folder: Path, model_type: str, seconds: float) -> None:
    command = [sys.executable, "-W", "ignore", "-m", "levgen.survey.sweep", str(folder), "--one", model_type]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
    except subprocess.TimeoutExpired:
        _write(folder, model_type, _failed(model_type, f"not done after {seconds:.0f} s"))
        return
    if not _path(folder, model_type).exists():
        last = (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1]
        _write(folder, model_type, _failed(model_type, f"the process ended: {last}"))


def _survey(model_type: str) -> dict[str, Any]:
    from levgen.architecture.card import as_data
    from levgen.survey import survey

    try:
        found = survey(model_type)
    except Exception as error:
        return _failed(model_type, f"{type(error).__name__}: {error}")
    return {
        "type": model_type,
        "surveyed": found.rebuilt,
        "logits": list(found.errors),
        "gradients": found.gradient_error,
        "seconds": round(found.seconds, 1),
        "unknown": [[u.question, u.observed, u.where] for u in found.unknown],
        "card": None if found.architecture is None else as_data(found.architecture),
    }


def _failed(model_type: str, reason: str) -> dict[str, Any]:
    unknown = [["the survey", reason, ""]]
    return {"type": model_type, "surveyed": False, "logits": [], "gradients": None, "seconds": None, "unknown": unknown}


def _row(result: dict[str, Any]) -> str:
    logits = ", ".join(f"{error:.0e}" for error in result["logits"])
    gradients = "" if result["gradients"] is None else f"{result['gradients']:.0e}"
    unknown = "; ".join(_unknown(*item) for item in result["unknown"])
    yes = "yes" if result["surveyed"] else "no"
    return f"| {result['type']} | {yes} | {logits} | {gradients} | {unknown} |"


def _unknown(question: str, observed: str, where: str) -> str:
    """One line: the question, the beginning of what was observed, and where in the reference."""
    said = " ".join(f"{question}: {observed}".replace("|", "/").split())
    return (said if len(said) <= 240 else f"{said[:240]} ...") + (f" (`{where}`)" if where else "")


def _path(folder: Path, model_type: str) -> Path:
    return folder / f"{model_type}.json"


def _write(folder: Path, model_type: str, result: dict[str, Any]) -> None:
    _path(folder, model_type).write_text(json.dumps(result, indent=1, default=list), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
