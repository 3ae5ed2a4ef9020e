"""What levgen prints beside its results: errors, notes and questions, all on stderr so that stdout can be piped."""

import os
import sys
from typing import TextIO

RED, YELLOW, BOLD, DIM = "31", "33", "1", "2"


def is_terminal(stream: TextIO) -> bool:
    """Whether a person reads `stream`; False too where it is closed."""
    try:
        return stream.isatty()
    except ValueError:
        return False


def styled(text: str, style: str, stream: TextIO) -> str:
    """`text` in an ANSI style (`"31"` is red) where `stream` is a terminal and NO_COLOR is unset."""
    if not is_terminal(stream) or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    return f"\033[{style}m{text}\033[0m"


def print_error(message: str, hint: str | None = None) -> None:
    """`error: message`, then the hint, indented under it."""
    print(f"{styled('error:', RED, sys.stderr)} {printable(message)}", file=sys.stderr)
    if hint:
        print("\n".join(f"  {line}" for line in printable(hint).splitlines()), file=sys.stderr)


def print_note(message: str) -> None:
    """`note: message`: something the user should know that is no error."""
    print(f"{styled('note:', YELLOW, sys.stderr)} {printable(message)}", file=sys.stderr)


def printable(text: str) -> str:
    """`text` with what could steer the terminal (escape and other control characters) written out."""
    return "".join(char if char in "\n\t" or char.isprintable() else ascii(char)[1:-1] for char in text)


def can_ask() -> bool:
    """Whether there is a person to ask: stdin and stderr are both terminals."""
    return is_terminal(sys.stdin) and is_terminal(sys.stderr)


def ask(question: str, answers: dict[str, str]) -> str:
    """Asks until one of `answers` (answer -> what it means) is typed, or its beginning. The first is the default.

    Raises EOFError at the end of the input.
    """
    choices = "/".join(answers)
    while True:
        print(f"{question} [{choices}] ", end="", file=sys.stderr, flush=True)
        typed = input().strip().casefold()
        if not typed:
            return next(iter(answers))
        meant = [typed] if typed in answers else [answer for answer in answers if answer.startswith(typed)]
        if len(meant) == 1:
            return meant[0]
        for name, meaning in answers.items():
            print(f"  {name}: {meaning}", file=sys.stderr)
