"""`levgen parts`: what models are made of."""

from typing import Annotated

import typer


def parts(json: Annotated[bool, typer.Option("--json", help="Report as JSON.")] = False) -> None:
    """List the parts that models are made of, with their kinds and what they add to a config."""
    import json as json_module

    from levgen.scaffold.parts import all_parts

    found = [part for part in all_parts() if part.name != "model"]
    if json:
        listed = [
            {
                "part": part.name.replace("_", "-"),
                "summary": part.summary,
                "kinds": list(part.kinds),
                "hyperparameters": [spec.name for spec in part.hyperparameters],
                "axes": list(dict.fromkeys(axis.attribute for axis in part.axes)),
            }
            for part in found
        ]
        print(json_module.dumps(listed, indent=2))
        return
    for part in found:
        print(f"{part.name.replace('_', '-'):14} {part.summary}")
        print(f"{'':14} kinds: {', '.join(part.kinds)}")
        if part.hyperparameters:
            print(f"{'':14} hyperparameters: {', '.join(spec.name for spec in part.hyperparameters)}")
        if part.axes:
            print(f"{'':14} axes: {', '.join(dict.fromkeys(axis.attribute for axis in part.axes))}")
    print("\nAdd one to a model with `levgen add-module PART --to MODEL`.")
