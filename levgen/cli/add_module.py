"""`levgen add-module`: add a class, its hyperparameters and its test to a model that may have been edited by hand."""

from pathlib import Path
from typing import Annotated

import typer


def add_module(
    kind: Annotated[
        str,
        typer.Argument(
            help="attention, mla (its latent kind), indexer, mlp, moe, norm, gated-norm, decoder-layer, transformer, "
            "embeddings, head-transform or lm-head."
        ),
    ],
    to: Annotated[
        str | None, typer.Option(metavar="MODEL", help="The model; by default the only one of the project.")
    ] = None,
    name: Annotated[str | None, typer.Option(metavar="CLASS", help="The new class, beside one of that kind.")] = None,
    variant: Annotated[
        str | None, typer.Option("--kind", metavar="VARIANT", help="Which variant, as `levgen parts` lists them.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Change an answer, as in attention.qk_norm=head."),
    ] = None,
    dest: Annotated[Path, typer.Option(metavar="DIR", help="The project's folder.")] = Path(),
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show which files would change, and write nothing.")
    ] = False,
    diff: Annotated[bool, typer.Option("--diff", help="Show what would change, and write nothing.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Fill a stub although lines that you added to it go.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Report as JSON.")] = False,
) -> None:
    """Add a module to a model file, and its unit test.

    A stub of that kind is filled. Your own code, comments and layout stay as they are.
    """
    from levgen.cli.console import print_note
    from levgen.cli.writing import WriteOptions, project_to_edit, write_files
    from levgen.scaffold.edit.add_module import Request, choose_model
    from levgen.scaffold.edit.add_module import add_module as plan
    from levgen.scaffold.edit.kinds import find_kind

    request = Request(find_kind(kind), name, variant, settings or [], force)
    project = project_to_edit(dest, only_show=dry_run or diff)
    model = choose_model(project, to)
    addition = plan(project, model, request)
    for note in addition.notes:
        print_note(note)
    write_files(
        project.root,
        addition.files,
        WriteOptions(dry_run=dry_run, diff=diff, json=json),
        next_commands=[f"pytest {project.tests}/test_{model}.py", "levgen check"],
        dest=dest,
    )
