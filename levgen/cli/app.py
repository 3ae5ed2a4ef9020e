"""The command line's entry: runs a command and turns what it raises into messages and exit codes.

Exit codes: 0 done, 1 the command found something wrong (findings of `check`, a diagnosis of `doctor`), 2 the user's
error or a fault of levgen's, 130 interrupted. `LEVGEN_TRACEBACK=1` shows the traceback of any error.
"""

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from levgen.cli.console import print_error
from levgen.errors import LevgenError


def main() -> NoReturn:
    """The console script `levgen`."""
    sys.exit(run(sys.argv[1:]))


def run(argv: Sequence[str]) -> int:
    """Runs `levgen ARGV` in this process and returns its exit code."""
    try:
        code = _run(list(argv))
        sys.stdout.flush()
    except BrokenPipeError:
        return _broken_pipe()
    except KeyboardInterrupt:
        print_error("interrupted")
        return 130
    except Exception as error:
        return _report(error)
    return code


def _run(argv: list[str]) -> int:
    # The start page is printed without importing typer, which costs three times as much as the page.
    if "_LEVGEN_COMPLETE" not in os.environ and argv in ([], ["--help"]):
        from levgen.cli.commands import help_page

        print(help_page(), file=sys.stdout if argv else sys.stderr)
        return 0 if argv else 2

    import typer

    from levgen.cli.group import app

    try:
        result = typer.main.get_command(app).main(args=argv, prog_name="levgen", standalone_mode=False)
    except typer.TyperException as error:
        context = getattr(error, "ctx", None)
        hint = f"`{context.command_path} --help` shows what it takes" if context is not None else None
        print_error(error.format_message(), hint)
        return 2
    except typer.Abort:
        print_error("stopped: nothing more was asked or written")
        return 1
    return result if isinstance(result, int) else 0


def _report(error: Exception) -> int:
    if os.environ.get("LEVGEN_TRACEBACK"):
        import traceback

        traceback.print_exception(error)
    if isinstance(error, LevgenError):
        print_error(error.message, error.hint)
    elif isinstance(error, OSError) and error.filename is not None:
        print_error(f"{error.strerror}: {error.filename}")
    elif isinstance(error, NotImplementedError):
        print_error(f"the model isn't whole yet: {error}", "`levgen list` shows which of its classes are still stubs")
    else:
        print_error(
            f"levgen failed, which it never should: {type(error).__name__}: {error}",
            "please report it with the command you ran and the traceback, which LEVGEN_TRACEBACK=1 shows",
        )
    return 2


def _broken_pipe() -> int:
    """The reader of our output went away, as `| head` does: stop quietly, also when Python flushes at exit."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, sys.stdout.fileno())
    return 141
