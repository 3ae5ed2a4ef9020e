"""`levgen profile`: where the time and memory of a training step go."""

from pathlib import Path
from typing import Annotated

import typer


def profile(
    config: Annotated[Path, typer.Argument(metavar="CONFIG.yaml", help="The training configuration.")],
    steps: Annotated[int, typer.Option(min=1, help="How many steps to trace.")] = 5,
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Change a key, as in --set trainer.mp=bfloat16.", show_default=False
        ),
    ] = None,
) -> None:
    """Run a few training steps under jax's profiler and say where time and memory went."""
    from levgen.training.validate import load

    loaded = load(config, overrides=list(assignments or []))
    from levgen.training.profiling.report import report
    from levgen.training.profiling.run import profile as run_profile

    print(report(run_profile(loaded, steps)))
