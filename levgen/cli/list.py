"""`levgen list`: the models of a project and how far each is proven. Imports neither jax nor torch."""

import json as json_format
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from levgen.cli.console import YELLOW, styled

if TYPE_CHECKING:
    from levgen.prove.subject import Files


def list_models(
    dest: Annotated[Path, typer.Option(metavar="DIR", help="The project's folder.")] = Path(),
    json: Annotated[bool, typer.Option("--json", help="Report as JSON.")] = False,
) -> None:
    """List the models of a project: how far each is proven, and whether its files are still those of the proof."""
    from levgen.errors import LevgenError
    from levgen.project import find_project
    from levgen.prove.subject import files_of, model_files

    project = find_project(dest)
    if not project.exists:
        raise LevgenError(f"{dest} is in no project of levgen", "give the project's folder with --dest")
    rows = [_row(files_of(path.stem, project)) for path in model_files(project)]
    if json:
        print(json_format.dumps(rows, indent=2))
        return
    if not rows:
        print(f"No models in {project.models}/ yet: levgen new-model NAME writes one.")
        return
    width = max(len(row["model"]) for row in rows)
    for row in rows:
        print(f"{row['model'].ljust(width)}  {_badges(row)}")


def _row(files: "Files") -> dict[str, Any]:
    from levgen.prove.outcome import Status
    from levgen.prove.state import read_state
    from levgen.prove.subject import stubs_of

    state = read_state(files)
    levels = state.levels()
    failed = [name for name, result in state.rungs.items() if result.get("status") == Status.FAILED]
    return {
        "model": files.name,
        "status": levels[-1],
        "levels": levels,
        "stubs": stubs_of(files),
        "failed": failed,
        "stale": sorted(state.stale(files)),
        "proven": bool(state.rungs),
    }


def _badges(row: dict[str, Any]) -> str:
    """`scaffolded > traces > shapes > parity`, then what is a stub, what failed, and whether it is stale."""
    text = " > ".join(row["levels"])
    notes = []
    if row["stubs"]:
        notes.append(f"to be written: {', '.join(row['stubs'])}")
    if row["failed"]:
        notes.append(f"failed: {', '.join(row['failed'])}")
    if row["stale"]:
        notes.append("stale: levgen prove --verify runs it again")
    if not row["proven"]:
        notes.append(f"unproven: levgen prove {row['model']}")
    return "  ".join([text, *(styled(f"[{note}]", YELLOW, sys.stdout) for note in notes)])
