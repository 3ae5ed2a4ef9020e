"""`levgen convert`: a run's checkpoint as a folder of transformers, and back."""

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from levgen.errors import LevgenError


def convert(
    config: Annotated[Path, typer.Argument(metavar="CONFIG.yaml", help="The training configuration of the run.")],
    to: Annotated[
        Path | None, typer.Option("--to", metavar="FOLDER", help="Write the model and its tokenizer here.")
    ] = None,
    from_: Annotated[
        Path | None,
        typer.Option("--from", metavar="FOLDER", help="Make the run's checkpoint of step 0 from these weights."),
    ] = None,
    step: Annotated[
        int | None, typer.Option(help="The checkpoint to write. By default: the newest.", show_default=False)
    ] = None,
    dtype: Annotated[
        Literal["float32", "bfloat16", "float16"] | None,
        typer.Option(help="Of the weights written. By default: the checkpoint's.", show_default=False),
    ] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Change a key, as in --set trainer.id=big.", show_default=False
        ),
    ] = None,
) -> None:
    """Write a checkpoint as a folder that transformers reads (--to), or make a checkpoint from one (--from)."""
    if (to is None) == (from_ is None):
        raise LevgenError(
            "expected one of --to and --from",
            f"levgen convert {config} --to FOLDER writes a folder of transformers; --from FOLDER makes a checkpoint",
        )
    overrides = list(assignments or [])
    if to is None and (step is not None or dtype is not None):
        raise LevgenError(
            "--step and --dtype belong to --to: a checkpoint made by --from is of step 0",
            "trainer.mp says the dtype of its parameters",
        )
    if from_ is not None:
        overrides.append(f"initialize_from_hf={json.dumps(str(from_))}")
    from levgen.training.validate import load

    loaded = load(config, overrides=overrides)
    from levgen.cli.console import print_note
    from levgen.training.convert import from_hf, to_hf

    if to is not None:
        written = to_hf(loaded, to, step=step, dtype=dtype)
        print(f"step {written} -> {to}")
    else:
        folder = from_hf(loaded, note=print_note)
        print(f"{from_} -> step 0 of {folder}; next: levgen train {config}")
