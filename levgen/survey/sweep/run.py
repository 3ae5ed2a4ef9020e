"""`python -m levgen.survey.sweep FOLDER`: surveys every causal language model of transformers and writes a table.

Each type runs in a process of its own, with limits of time and memory. A result is a file in FOLDER, and a type that
has one is not run again: an interrupted sweep goes on where it stopped. The table is written anew after each type.
"""

import argparse
import contextlib
import json
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from levgen.survey.sweep.page import GOOD, SAME, cells_of, page, row

_PROJECT = "project"
_NOT_DONE = "not done after"
# Most of a type's time is XLA's, which optimises programs that run once.
_FAST_COMPILATION = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}


def main(arguments: list[str] | None = None) -> int:
    """Runs the sweep, or one type of it (`--one`), and writes the table."""
    parser = argparse.ArgumentParser(
        prog="python -m levgen.survey.sweep", description=__doc__, fromfile_prefix_chars="@"
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--types", nargs="*", help="these types only; @FILE reads them from a file, one a line")
    parser.add_argument("--first", nargs="*", default=[], help="types that come first, in a section of their own")
    parser.add_argument("--seconds", type=float, default=300, help="time limit of one type")
    parser.add_argument("--gigabytes", type=float, default=12, help="memory that one type may ask for")
    parser.add_argument("--jobs", type=int, default=1, help="types that run at once")
    parser.add_argument("--table", type=Path, help="where the table goes (FOLDER/table.md)")
    parser.add_argument(
        "--share", default="1/1", help="I/N: the I-th of N shares of the types, mixed so that each is like the whole"
    )
    parser.add_argument("--against", type=Path, help="a table: exit with 1 where a type is worse than it says")
    parser.add_argument("--keep", type=Path, help="a table: rows of types without a result in FOLDER")
    parser.add_argument("--only-table", action="store_true", help="run nothing: write the table of what is in FOLDER")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    folder: Path = given.folder
    folder.mkdir(parents=True, exist_ok=True)
    if given.one:
        limit = int(given.gigabytes * 2**30)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        _survey(folder, given.one)
        return 0
    rest = given.types if given.types is not None else [t for t in causal_types() if t not in given.first]
    first, rest = share(given.first, given.share), share([t for t in rest if t not in given.first], given.share)
    table, lock = given.table or folder / "table.md", threading.Lock()
    kept = {} if given.keep is None else _lines(given.keep.read_text(encoding="utf-8"))

    def write_table() -> None:
        results = {model_type: _result(folder, model_type, kept) for model_type in (*first, *rest)}
        sections = [[results[t] for t in types] for types in (first, rest) if types]
        table.write_text(page(sections), encoding="utf-8")

    def sweep(model_type: str) -> None:
        _run(folder, model_type, given.seconds, given.gigabytes)
        with lock:
            print(row(_result(folder, model_type)), flush=True)
            write_table()

    missing = [model_type for model_type in (*first, *rest) if not _path(folder, model_type).exists()]
    if missing and not given.only_table:
        _make_project(folder)
        with ThreadPoolExecutor(given.jobs) as pool:
            list(pool.map(sweep, missing))
    write_table()
    if given.against is None:
        return 0
    rows = [row(_result(folder, model_type)) for model_type in (*first, *rest)]
    worse, other = compare(given.against.read_text(encoding="utf-8"), rows)
    print("\n".join([*worse, *other]) or f"{given.against} says the same of these {len(rows)} types")
    return 1 if worse else 0


def share(types: Sequence[str], which: str) -> list[str]:
    """Every n-th of `types`, from the one on that `which` says: "2/5" is the second, the seventh, ..."""
    one, _, of = which.partition("/")
    return list(types[int(one) % int(of) :: int(of)])


def compare(page: str, rows: Sequence[str]) -> tuple[list[str], list[str]]:
    """(a line for each of `rows` that is worse than in the table `page`, or new, one for each other that differs)"""
    said = {model_type: cells_of(line) for model_type, line in _lines(page).items()}
    worse, other = [], []
    for cells in map(cells_of, rows):
        before, found = (
            each.get("survey", "nothing").partition(":")[0] for each in (said.get(cells["type"], {}), cells)
        )
        line = f"{cells['type']}: the table says {before}, and it is {found}"
        if _NOT_DONE in cells["unknown"]:  # a slow machine makes no type worse
            other.append(f"{line}: {cells['unknown']}")
        elif before == "nothing" or GOOD.get(found, 0) < GOOD.get(before, 0):
            worse.append(line)
        elif found != before:
            other.append(line)
        elif (card := said[cells["type"]]["card"]) != cells["card"]:
            of_card = f"{cells['type']}: of the card the table says {card or 'nothing'}, and it is {cells['card']}"
            (other if cells["card"] == SAME else worse).append(of_card)
    return worse, other


def _lines(page: str) -> dict[str, str]:
    """Type -> its line in the tables of a page."""
    return {cells["type"]: line for line in page.splitlines() if (cells := cells_of(line))}


def causal_types() -> list[str]:
    """The model types for which the installed transformers has a causal language model, sorted."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    return sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)


def _make_project(folder: Path) -> None:
    """The project in which every model is generated."""
    from levgen.scaffold.project import project_files
    from levgen.survey.sweep.columns import write

    root = folder / _PROJECT
    if not root.exists():
        write(root, project_files(root))


def _run(folder: Path, model_type: str, seconds: float, gigabytes: float) -> None:
    """One type in a process of its own; what it had found is kept where its time is over."""
    command = [sys.executable, "-W", "ignore", "-m", "levgen.survey.sweep", str(folder), "--one", model_type]
    command += ["--gigabytes", str(gigabytes)]
    partial = _partial(folder, model_type)
    partial.unlink(missing_ok=True)
    problem = None
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=seconds, check=False, env=os.environ | _FAST_COMPILATION
        )
        if not _path(folder, model_type).exists():
            problem = (done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1]
            problem = f"the process ended: {problem}"
    except subprocess.TimeoutExpired:
        problem = f"{_NOT_DONE} {seconds:.0f} s"
    if problem is not None:
        found: dict[str, Any] = {"type": model_type, "surveyed": False, "unknown": [], "columns": None}
        with contextlib.suppress(OSError, json.JSONDecodeError):
            found = json.loads(partial.read_text(encoding="utf-8"))
        found["unknown"] = [*found["unknown"], ["the sweep", problem, ""]]
        _write(_path(folder, model_type), found)
    partial.unlink(missing_ok=True)


def _survey(folder: Path, model_type: str) -> None:
    """Surveys and measures one type, and writes its result."""
    from levgen.architecture.card import as_data
    from levgen.reference.find import find_type
    from levgen.reference.tiny import tiny
    from levgen.survey import survey
    from levgen.survey.sweep.columns import measure_columns, stub_names

    result: dict[str, Any] = {"type": model_type, "surveyed": False, "unknown": [], "columns": None}
    try:
        found = survey(model_type)
        result["surveyed"] = found.rebuilt
        result["seconds"] = round(found.seconds, 1)
        result["unknown"] = [[u.question, u.observed, u.where] for u in found.unknown]
        card = found.architecture or found.stubbed
        if card is not None:
            result["card"] = as_data(card)
            if found.stubbed is not None:
                result["stubs"] = stub_names(card, model_type)

            def say(columns: dict[str, Any]) -> None:
                _write(_partial(folder, model_type), {**result, "columns": columns})

            result["columns"] = measure_columns(card, tiny(find_type(model_type)), folder / _PROJECT, say)
    except Exception as error:
        result["unknown"].append(["the sweep", f"{type(error).__name__}: {error}", ""])
    _write(_path(folder, model_type), result)


def _result(folder: Path, model_type: str, kept: Mapping[str, str] | None = None) -> dict[str, Any]:
    """What is known of a type: its result, or its line of an earlier table; only its name where it wasn't tried."""
    path = _path(folder, model_type)
    if path.exists():
        return dict(json.loads(path.read_text(encoding="utf-8")))
    return {"type": model_type} | ({"kept": kept[model_type]} if kept and model_type in kept else {})


def _path(folder: Path, model_type: str) -> Path:
    return folder / f"{model_type}.json"


def _partial(folder: Path, model_type: str) -> Path:
    return folder / f"{model_type}.partial"


def _write(path: Path, result: dict[str, Any]) -> None:
    path.write_text(json.dumps(result, indent=1, default=str), encoding="utf-8")
