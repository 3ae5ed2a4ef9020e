"""The one exception that a user meets: what was expected, what came, what to do."""

import difflib
from collections.abc import Iterable


class LevgenError(Exception):
    """A user's error. The command line prints `message` and `hint` and exits with 2, without a traceback."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message if hint is None else f"{message}\n{hint}")
        self.message = message
        self.hint = hint


def nearest(name: str, known: Iterable[str], *, most: int = 3) -> list[str]:
    """The names of `known` that are closest to `name`, best first, at most `most` of them."""
    by_folded = {candidate.casefold(): candidate for candidate in known}
    return [by_folded[match] for match in difflib.get_close_matches(name.casefold(), by_folded, n=most, cutoff=0.6)]


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """`did you mean 'x' or 'y'?`, or None where nothing is near."""
    matches = nearest(name, known)
    return f"did you mean {' or '.join(repr(match) for match in matches)}?" if matches else None
