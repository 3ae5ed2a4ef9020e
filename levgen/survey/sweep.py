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


def main(arguments: list[str] | None = None) -> int:
    """Runs the sweep, or one type of it (`--one`), and writes `table.md`."""
    parser = argparse.ArgumentParser(prog="python -m levgen.survey.sweep", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--types", nargs="*", help="these types only")
    parser.add_argument("--seconds", type=float, default=300, help="time limit of one type")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    given.folder.mkdir(parents=True, exist_ok=True)
    if given.one:
        _write(given.folder, given.one, _survey(given.one))
        return 0
    for model_type in given.types or causal_types():
        if not _path(given.folder, model_type).exists():
            _run(given.folder, model_type, given.seconds)
            print(_row(json.loads(_path(given.folder, model_type).read_text())), flush=True)
    results = [json.loads(path.read_text()) for path in sorted(given.folder.glob("*.json"))]
    (given.folder / "table.md").write_text(table(results), encoding="utf-8")
    return 0


def causal_types() -> list[str]:
    """The model types for which the installed transformers has a causal language model, sorted."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    return sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)


def table(results: list[dict[str, Any]]) -> str:
    """The results as Markdown, sorted by type."""
    rows = [_row(result) for result in sorted(results, key=lambda result: str(result["type"]))]
    good = sum(result["surveyed"] for result in results)
    head = ["| type | surveyed | logits | gradients | seconds | unknown |", "|---|---|---|---|---|---|"]
    return "\n".join([f"{good} of {len(results)} types surveyed and rebuilt.", "", *head, *rows, ""])


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
    unknown = "; ".join(f"{question}: {observed}" for question, observed, _ in result["unknown"])
    unknown = " ".join(unknown.replace("|", "/").split())[:300]
    yes = "yes" if result["surveyed"] else "no"
    return f"| {result['type']} | {yes} | {logits} | {gradients} | {result['seconds'] or ''} | {unknown} |"


def _path(folder: Path, model_type: str) -> Path:
    return folder / f"{model_type}.json"


def _write(folder: Path, model_type: str, result: dict[str, Any]) -> None:
    _path(folder, model_type).write_text(json.dumps(result, indent=1, default=list), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
