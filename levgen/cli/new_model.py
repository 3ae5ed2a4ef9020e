"""`levgen new-model`: write a model file, its tests, its training configs and its record."""

from pathlib import Path
from typing import Annotated

import typer


def new_model(
    name: Annotated[str, typer.Argument(help="The model's name: a known type such as `llama`, or one of your own.")],
    like: Annotated[
        str | None, typer.Option(metavar="TYPE", help="Take the architecture of TYPE under this name.")
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="FOLDER|ID", help="Take type and dimensions from its config.json; ID: on the hub."
        ),
    ] = None,
    trust_remote_code: Annotated[
        bool, typer.Option("--trust-remote-code", help="Run the code that FOLDER brings along, to find out what it is.")
    ] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="NAME=VALUE", help="Change an answer or a hyperparameter, as in attention.qk_norm=head."
        ),
    ] = None,
    dest: Annotated[Path, typer.Option(metavar="DIR", help="The project's folder; made where there is none.")] = Path(),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be written, and write nothing.")] = False,
    diff: Annotated[bool, typer.Option("--diff", help="Show what would change, and write nothing.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that differ.")] = False,
    skip: Annotated[bool, typer.Option("--skip", help="Keep files that differ.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Report as JSON.")] = False,
    defaults: Annotated[bool, typer.Option("--defaults", help="Ask nothing.")] = False,
) -> None:
    """Write a model, its tests and its training configs.

    A type with a card is written whole. Any other causal type of transformers, and a folder with code of its own, is
    found out by experiment first, which takes torch and up to a minute. A module in it that no experiment explains
    becomes a stub, and all around it is written and proven. For a name that nobody knows levgen writes
    stubs of every module, whose tests say what is still to be written; on a terminal it asks first which parts you
    want.
    """
    import gc
    from functools import partial

    from levgen.cli.console import can_ask, print_note
    from levgen.cli.surveying import survey_model
    from levgen.cli.writing import WriteOptions, write_files
    from levgen.errors import LevgenError
    from levgen.project import REACHABLE, UNREACHABLE, find_project
    from levgen.reference.hub import local_folder
    from levgen.scaffold.choose import Choice, choose
    from levgen.scaffold.names import model_name
    from levgen.scaffold.port import port_files
    from levgen.scaffold.project import project_files
    from levgen.scaffold.views.port import PortView

    gc.disable()  # a run is short, and most that it makes lives to its end
    model = model_name(name)
    if trust_remote_code and source is None:
        raise LevgenError("--trust-remote-code says that a folder's code may run: it belongs to --from FOLDER")
    survey = partial(survey_model, trust_remote_code=trust_remote_code)
    folder = None if source is None else local_folder(source)
    choice = choose(model, like=like, source=folder, settings=settings or [], survey=survey)
    if choice.is_blank and can_ask() and not defaults and not json:
        from levgen.cli.questions import ask_parts

        print_note(f"levgen has no card for {model.snake!r}: a few questions, and what you leave is a stub")
        choice = Choice(ask_parts(model))
    for note in choice.notes:
        print_note(note)
    project = find_project(dest)
    files = port_files(choice.architecture, model, project, survey=choice.survey)
    unknown = PortView(choice.architecture, model).unknown.values()
    stubs = [own.as_data(f"{project.models}/{model.snake}.py") for own in unknown]
    if not project.exists:
        files = [*project_files(project.root), *files]
    if choice.is_blank:
        last = [f"levgen add-module attention --to {model.snake}"]
    else:
        last = [] if stubs else [f"levgen train {project.config}/{model.snake}_nano.yaml"]
    write_files(
        project.root,
        files,
        WriteOptions(dry_run=dry_run, diff=diff, force=force, skip=skip, json=json),
        next_commands=["pytest", "levgen check", *last],
        dest=dest,
        stubs=stubs,
    )
    if not project.tests_find_models:
        print_note(f"{UNREACHABLE}; {REACHABLE}")
