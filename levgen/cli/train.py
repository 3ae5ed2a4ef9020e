"""`levgen train`: trains a model of the project from a YAML in Levanter's schema."""

from pathlib import Path
from typing import Annotated, Literal

import typer


def train(
    config: Annotated[Path, typer.Argument(metavar="CONFIG.yaml", help="The training configuration.")],
    engine: Annotated[
        Literal["local", "levanter"], typer.Option(help="levgen's own loop on this machine, or Levanter.")
    ] = "local",
    steps: Annotated[
        int | None, typer.Option(min=1, help="Train up to this step: trainer.num_train_steps.", show_default=False)
    ] = None,
    resume: Annotated[
        bool | None,
        typer.Option(
            "--resume/--fresh",
            help="Go on from the newest checkpoint, or start over beside it. By default: go on if there is one.",
            show_default=False,
        ),
    ] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Change a key, as in --set trainer.seed=1.", show_default=False
        ),
    ] = None,
) -> None:
    """Train a model of this project; Ctrl-C saves and stops."""
    overrides = list(assignments or [])
    if steps is not None:
        overrides.append(f"trainer.num_train_steps={steps}")
    if resume is not None:
        overrides.append(f"trainer.load_checkpoint={str(resume).lower()}")
    if engine == "levanter":
        from levgen.training.levanter import run_levanter

        run_levanter(config, overrides)
        return
    from levgen.training.validate import load

    loaded = load(config, overrides=overrides)
    from rich.console import Console

    from levgen.cli.console import print_note
    from levgen.training import loop

    summary = loop.train(loaded, console=Console(stderr=True))
    print(summary)
    if summary.signal is not None:
        print_note("stopped by a signal; the same command goes on from here")
        raise typer.Exit(128 + summary.signal)
