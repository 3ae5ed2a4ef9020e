"""`levgen inspect`: the architecture behind a model type or a checkpoint."""

from typing import Annotated, Literal

import typer


def inspect(
    model: Annotated[
        str, typer.Argument(metavar="TYPE|FOLDER|ID", help="A model type, a folder with a config.json, or a hub id.")
    ],
    survey: Annotated[
        bool, typer.Option("--survey", help="Find it out by experiment, although there is a card; this takes torch.")
    ] = False,
    trust_remote_code: Annotated[
        bool, typer.Option("--trust-remote-code", help="Run the code that FOLDER brings along, to find out what it is.")
    ] = False,
    format: Annotated[
        Literal["text", "mermaid", "json"], typer.Option("--format", help="mermaid: a layer's dataflow only.")
    ] = "text",
    json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
) -> None:
    """Show what a model is: hyperparameters, answers with their evidence, a layer's dataflow, parameters by module.

    A type with a card is read from it. Any other causal type of transformers, and a folder with code of its own, is
    found out by experiment. Exits with 1 where something about it is unknown.
    """
    import json as json_module

    from levgen.cli.inspection import inspect_model
    from levgen.errors import LevgenError

    if json and format == "mermaid":
        raise LevgenError("--json and --format mermaid contradict each other: give one of them")
    inspection = inspect_model(model, survey=survey, trust_remote_code=trust_remote_code)
    if format == "mermaid":
        from levgen.cli.layer_graph import layer_graph, mermaid
        from levgen.scaffold.dataflow.layer import dataflow_of

        print(mermaid(layer_graph(dataflow_of(inspection.known))), end="")
        return
    if json or format == "json":
        print(json_module.dumps(inspection.as_data(), indent=2, default=str))
    else:
        from levgen.cli.architecture_table import print_inspection

        print_inspection(inspection)
    if inspection.architecture is None or inspection.architecture.unknown:
        raise typer.Exit(1)
