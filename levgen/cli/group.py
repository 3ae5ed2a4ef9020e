"""The typer group behind `levgen`: commands are found by the table and imported when they are run."""

import importlib
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from levgen.cli.commands import available, help_page
from levgen.cli.plain_params import PlainParams
from levgen.errors import LevgenError, did_you_mean


class PlainCommand(PlainParams, TyperCommand):
    """A command that converts its plain parameters without pydantic."""


class LazyGroup(PlainParams, TyperGroup):
    """A group whose commands come from `levgen.cli.commands`.

    `ctx` is typer's context and `formatter` its help formatter: typer has no public names for their types.
    """

    def list_commands(self, ctx: Any) -> list[str]:
        return list(available())

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        command = available().get(cmd_name)
        if command is None:
            return None
        function = getattr(importlib.import_module(f"levgen.cli.{command.module}"), command.function)
        single = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
        single.command(cmd_name, cls=PlainCommand)(function)
        return typer.main.get_command(single)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name = args[0]
        known = available()
        if name not in known and not name.startswith("-"):
            near = did_you_mean(name, known)
            raise LevgenError(f"there is no command {name!r}", near or f"the commands are {', '.join(known)}")
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        from typer._click.shell_completion import CompletionItem

        commands = [
            CompletionItem(name, help=command.summary)
            for name, command in available().items()
            if name.startswith(incomplete)
        ]
        # The base class of TyperGroup completes the group's own options; TyperGroup would import every command.
        return commands + super(TyperGroup, self).shell_complete(ctx, incomplete)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        formatter.write(help_page())


app = typer.Typer(name="levgen", cls=LazyGroup, rich_markup_mode=None, pretty_exceptions_enable=False)


def _print_version(asked: bool) -> None:
    if asked:
        from levgen import __version__

        print(f"levgen {__version__}")
        raise typer.Exit()


@app.callback()
def levgen(version: Annotated[bool, typer.Option("--version", is_eager=True, callback=_print_version)] = False) -> None:
    """The group itself; its help page is `levgen.cli.commands.help_page`."""
