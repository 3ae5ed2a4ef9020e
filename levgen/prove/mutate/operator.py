"""An operator makes edits of one kind at one place of the source; the catalogue is all of them."""

import difflib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import libcst as cst

    from levgen.prove.mutate.site import Site

Make = Callable[["cst.CSTNode", "Site"], Iterator[str]]


@dataclass(frozen=True)
class Operator:
    """`make(node, site)` yields the texts that may stand in the place of a node.

    kind: what a fault of this sort is called, where the place of the edit doesn't say more. mends: what is wrong with a
    model that an edit of this operator makes right.
    """

    name: str
    kind: str
    mends: str
    make: Make


@dataclass(frozen=True)
class Mutation:
    """One edit: the characters from `start` to `end` of the source become `after`.

    where: `Class.function`. kind: what it touches: eps, scale, mask ...
    """

    operator: Operator
    kind: str
    where: str
    line: int
    start: int
    end: int
    before: str
    after: str

    @property
    def owner(self) -> str:
        """The class that is edited."""
        return self.where.partition(".")[0]

    @property
    def name(self) -> str:
        """`scale: LlamaAttention.__call__:123`."""
        return f"{self.operator.name} in {self.where}, line {self.line}"

    def applied(self, source: str) -> str:
        """The source with the edit."""
        return source[: self.start] + self.after + source[self.end :]

    def lines(self, source: str) -> tuple[str, str]:
        """The lines that the edit is on, before and after it."""
        first = source.rfind("\n", 0, self.start) + 1
        last = source.find("\n", self.end)
        last = len(source) if last < 0 else last
        old = source[first:last]
        new = source[first : self.start] + self.after + source[self.end : last]
        return " ".join(old.split()), " ".join(new.split())

    def diff(self, source: str, path: str) -> str:
        """The unified diff of the edit."""
        before, after = source.splitlines(keepends=True), self.applied(source).splitlines(keepends=True)
        return "".join(difflib.unified_diff(before, after, path, path, n=1))


CATALOGUE: dict[str, Operator] = {}


def operator(kind: str, mends: str) -> Callable[[Make], Make]:
    """Puts the function below it into the catalogue, under its own name."""

    def register(make: Make) -> Make:
        CATALOGUE[make.__name__] = Operator(make.__name__, kind, mends, make)
        return make

    return register
