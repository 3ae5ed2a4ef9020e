"""A layer's dataflow drawn for a terminal: the stream runs down the left side, blocks branch off and are added back."""

import textwrap
from collections.abc import Iterable, Iterator

from levgen.scaffold.dataflow.steps import Branch, Dataflow, Residual, Step

# Where explanations begin, unless a name goes on beyond it, and the least room that they get on a narrow terminal.
_COLUMN, _LEAST = 38, 30
_GAP = "  "
_INSIDE = "│     "


def draw(flow: Dataflow, width: int = 110) -> list[str]:
    """The lines of the drawing, at most `width` columns wide where names allow that."""
    lines = ["tokens", *_steps("", flow.before), "│", f"┌─ {flow.layers}"]
    for residual in flow.residuals:
        lines += ["│", *_residual(residual)]
    lines += ["└─", *_steps("", flow.after), "logits"]
    return [wrapped for line in lines for wrapped in _wrapped(line, width)]


def _residual(residual: Residual) -> Iterator[str]:
    source = "x"
    if residual.shared:
        source = "h"
        yield "├─ x ─╮"
        yield from _steps(_INSIDE, residual.shared)
        yield f"{_INSIDE}╰─▶ h"
    together = len(residual.branches) > 1
    for branch in residual.branches:
        yield f"├─ {source} ─╮"
        yield from _branch(branch)
        if together:
            yield f"{_INSIDE}╰─▶ {branch.name}"
    yield _row("⊕" if together else "⊕ ◀───╯", residual.total)
    yield from _steps("│ ", residual.after)


def _branch(branch: Branch) -> Iterator[str]:
    yield from _steps(_INSIDE, branch.before)
    said: set[Step] = set()
    for lane in branch.lanes:
        # What two lanes do alike, as rotations are, is explained once.
        does = [step.does for step in lane.steps if step.does and step not in said]
        said |= {*lane.steps}
        names = " → ".join(step.name for step in lane.steps)
        yield _row(f"{_INSIDE}├─ {lane.name:<4} {names}", "; ".join(does))
    if branch.join is not None:
        yield _row(f"{_INSIDE}╰▶ {branch.join.name}", branch.join.does)
    yield from _steps(_INSIDE, branch.after)


def _steps(rail: str, steps: Iterable[Step]) -> Iterator[str]:
    for step in steps:
        yield _row(f"{rail}{step.name}", step.does)


def _row(text: str, does: str) -> str:
    return f"{text:<{_COLUMN}}{_GAP}{does}".rstrip()


def _wrapped(line: str, width: int) -> Iterator[str]:
    """`line`, its explanation going on under itself where it is too long; the rails go on beside it."""
    if len(line) <= width or _GAP not in line[_COLUMN:]:
        yield line
        return
    name, _, does = line[_COLUMN:].partition(_GAP)
    lines = textwrap.wrap(does, max(_LEAST, width - _COLUMN - len(_GAP)))
    # A name that goes on beyond the column has a line of its own.
    yield line[:_COLUMN] + (name or _GAP + lines.pop(0))
    # A lane's rail goes on to where the lanes join; the stream's always does.
    rails = "".join("│" if char in "│├" else " " for char in line[:_COLUMN])
    yield from (f"{rails}{_GAP}{text}" for text in lines)
