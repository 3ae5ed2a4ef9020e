"""`levgen inspect`: the architecture behind a model type or a checkpoint."""

from pathlib import Path
from typing import Annotated

import typer


def inspect(
    model: Annotated[str, typer.Argument(metavar="TYPE|FOLDER", help="A known type, or a folder with a config.json.")],
    json: Annotated[bool, typer.Option("--json", help="The whole architecture as JSON.")] = False,
) -> None:
    """Show the architecture behind a model type: hyperparameters, answers, dataflow of a layer, names of weights."""
    import json as json_module

    from levgen.architecture.card import as_data
    from levgen.architecture.catalogue import get
    from levgen.scaffold.complete import complete

    folder = Path(model)
    if folder.is_dir():
        from levgen.reference.hf_config import architecture_of, read_hf_config, with_dimensions_of

        data = read_hf_config(folder)
        architecture = complete(with_dimensions_of(architecture_of(data), data))
    else:
        architecture = complete(get(model))
    if json:
        print(json_module.dumps(as_data(architecture), indent=2))
        return

    from levgen.cli.architecture_table import print_architecture

    print_architecture(architecture)
