"""Merging what levgen writes now into a file that a person has edited since levgen wrote it."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from merge3 import Merge3


class Side(StrEnum):
    """What stands where both sides changed the same lines in different ways."""

    MARKERS = "markers"  # both, between the marks that git uses
    MINE = "mine"
    LEVGEN = "levgen"


@dataclass(frozen=True)
class Merged:
    """The merged text, and the lines of the person's file (from 1, both ends included) where the two sides disagree."""

    text: str
    conflicts: tuple[tuple[int, int], ...] = ()


def merge(base: str, mine: str, levgens: str, *, side: Side = Side.MARKERS) -> Merged:
    """A three-way merge, line by line.

    Args:
        base: what levgen wrote before.
        mine: that, as the person has edited it.
        levgens: what levgen writes now.
        side: what stands where they disagree.
    """
    if base in (mine, levgens) or mine == levgens:
        return Merged(levgens if base == mine else mine)
    three = Merge3(base.splitlines(keepends=True), mine.splitlines(keepends=True), levgens.splitlines(keepends=True))
    conflicts = tuple(
        (region[3] + 1, max(region[3] + 1, region[4])) for region in three.merge_regions() if region[0] == "conflict"
    )
    return Merged("".join(_lines(three, side)), conflicts)


def _lines(three: Merge3[str], side: Side) -> Iterator[str]:
    if side is Side.MARKERS:
        yield from three.merge_lines(name_a="mine", name_b="levgen")
        return
    for region in three.merge_regions():
        if region[0] == "conflict":
            _, _, _, mine, mine_end, levgens, levgens_end = region
            yield from three.a[mine:mine_end] if side is Side.MINE else three.b[levgens:levgens_end]
        elif region[0] == "unchanged":
            yield from three.base[region[1] : region[2]]
        elif region[0] == "b":
            yield from three.b[region[1] : region[2]]
        else:  # a change of mine, or one that both made
            yield from three.a[region[1] : region[2]]
