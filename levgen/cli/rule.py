"""`levgen rule CODE`: the manual page of a rule."""

from typing import Annotated

import typer


def rule(
    code: Annotated[str | None, typer.Argument(help="A code such as LEV101, or a name.")] = None,
    all_rules: Annotated[bool, typer.Option("--all", help="List every rule.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The parts of the page as JSON.")] = False,
) -> None:
    """Explain a rule of `levgen check`: what it finds, why that is bad, examples, how to fix it."""
    import dataclasses
    import json

    from levgen.check.manual import as_markdown, manual
    from levgen.check.registry import all_rules as registered
    from levgen.check.registry import find_rule
    from levgen.errors import LevgenError

    if code is None and not all_rules:
        raise LevgenError("which rule?", "`levgen rule LEV101` explains one, `levgen rule --all` lists them")
    rules = [find_rule(code)] if code is not None else list(registered().values())
    pages = [manual(one) for one in rules]
    if as_json:
        found = [dataclasses.asdict(page) for page in pages]
        print(json.dumps(found[0] if code is not None else found, indent=2))
    elif code is not None:
        print(as_markdown(pages[0]), end="")
    else:
        for page in pages:
            print(f"{page.code} {page.name}: {' '.join(page.summary.split())}")
