"""`levgen update`: write a model anew from its answers, merged into the files as they are now."""

from pathlib import Path
from typing import Annotated, Literal

import typer


def update(
    model: Annotated[
        str | None, typer.Argument(metavar="[MODEL]", help="The model; by default the only one of the project.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Change an answer or a hyperparameter on the way."),
    ] = None,
    conflict: Annotated[
        Literal["refuse", "markers", "mine", "levgen"],
        typer.Option(help="What to do where you and levgen changed the same lines."),
    ] = "refuse",
    dest: Annotated[Path, typer.Option(metavar="DIR", help="The project's folder.")] = Path(),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be written, and write nothing.")] = False,
    diff: Annotated[bool, typer.Option("--diff", help="Show what would change, and write nothing.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Report as JSON.")] = False,
) -> None:
    """Write a model anew with this levgen, or with other answers, and keep what you changed in it.

    A three-way merge: what levgen wrote before is the common ancestor. Where you and levgen changed the same lines,
    nothing is written and they are listed; --conflict then says what shall stand there.
    """
    from levgen.cli.console import print_note
    from levgen.cli.writing import WriteOptions, project_to_edit, write_files
    from levgen.errors import LevgenError
    from levgen.scaffold.edit.add_module import choose_model
    from levgen.scaffold.merge import Side
    from levgen.scaffold.names import model_name
    from levgen.scaffold.update import plan_update

    only_show = dry_run or diff
    project = project_to_edit(dest, only_show=only_show)
    name = model_name(choose_model(project, model))
    side = Side.MARKERS if conflict == "refuse" else Side(conflict)
    plan = plan_update(project, name, settings or [], side=side)
    for note in plan.notes:
        print_note(note)
    if plan.conflicts:
        listed = "\n".join(f"  {place}" for place in plan.conflicts)
        if conflict == "refuse" and not only_show:
            raise LevgenError(
                f"you and levgen changed the same lines; nothing was written:\n{listed}",
                "--diff shows both; --conflict markers writes both, --conflict mine or levgen one of them",
            )
        print_note(f"you and levgen changed the same lines:\n{listed}")
    write_files(
        project.root,
        plan.files,
        WriteOptions(dry_run=dry_run, diff=diff, json=json),
        next_commands=[f"pytest {project.tests}/test_{name.snake}.py", "levgen check", f"levgen prove {name.snake}"],
        dest=dest,
    )
