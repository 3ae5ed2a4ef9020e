"""A layer's dataflow laid out for the page: boxes, arrows and words at their places, for an inline SVG.

The stream runs down the left side; a block branches off to the right, runs down and comes back to a sum. The drawing is
as narrow as a phone, so that its words can be read there.
"""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field

from levgen.scaffold.dataflow.steps import Branch, Dataflow, Residual, Step

WIDTH = 360.0
# The stream's x; the blocks' left and right sides; the rail on which side-by-side blocks come back, and the one on
# which what they share goes to them.
_STREAM, _LEFT, _RIGHT = 18.0, 52.0, 340.0
_BACK, _SHARED = 350.0, 38.0
_GAP, _PAD = 14.0, 5.0
# Heights of a line and widths of a character: names are monospaced at 11 units, explanations at 10.
_NAME_LINE, _DOES_LINE = 13.0, 12.0
_NAME_CHAR, _DOES_CHAR = 6.7, 5.4
_SUM = 7.0
# Room for the name of a lane above its first box.
_NAMED = 6.0


@dataclass(frozen=True)
class Box:
    """One step. `names` and `does` are the lines of its text, at `x` of its middle."""

    x: float
    y: float
    width: float
    height: float
    names: tuple[tuple[float, str], ...]
    does: tuple[tuple[float, str], ...]

    @property
    def middle(self) -> float:
        return self.x + self.width / 2


@dataclass(frozen=True)
class Line:
    """A path through points; `arrow`: it ends in a head."""

    points: tuple[tuple[float, float], ...]
    arrow: bool = False

    @property
    def path(self) -> str:
        return "M" + " L".join(f"{x:g} {y:g}" for x, y in self.points)


@dataclass(frozen=True)
class Word:
    """Text that starts at `x` on the baseline `y`."""

    x: float
    y: float
    text: str


@dataclass
class Drawing:
    """What the page draws, from `width` x `height` units. `frame`: top and bottom of the box around the layer."""

    boxes: list[Box] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)
    words: list[Word] = field(default_factory=list)
    sums: list[tuple[float, float]] = field(default_factory=list)
    frame: tuple[float, float] = (0.0, 0.0)
    height: float = 0.0
    width: float = WIDTH


def layer_drawing(flow: Dataflow) -> Drawing:
    """The drawing of one layer, between what comes before and after the stack."""
    return _Artist().draw(flow)


class _Artist:
    """Draws from the top down.

    `_y`: where the next thing goes; `_above`: where the stream was last left; `_entry`: where a block was last entered.
    """

    def __init__(self) -> None:
        self._drawing = Drawing()
        self._y = 0.0
        self._above = 0.0
        self._entry = 0.0

    def draw(self, flow: Dataflow) -> Drawing:
        drawing = self._drawing
        self._word("tokens")
        self._on_stream(flow.before)
        self._y += _GAP
        top = self._y
        self._y += 16
        drawing.words.append(Word(_LEFT, self._y, flow.layers))
        self._y += 4
        for residual in flow.residuals:
            self._residual(residual)
        self._y += _GAP / 2
        drawing.frame = (top, self._y)
        self._on_stream(flow.after)
        self._y += _GAP
        self._stream_to(self._y, arrow=True)
        self._word("logits")
        drawing.height = self._y + 4
        return drawing

    def _word(self, text: str) -> None:
        self._y += 12
        self._drawing.words.append(Word(4, self._y, text))
        self._y += 4
        self._above = self._y

    def _stream_to(self, y: float, *, arrow: bool = False) -> None:
        self._drawing.lines.append(Line(((_STREAM, self._above), (_STREAM, y)), arrow))
        self._above = y

    def _on_stream(self, steps: Sequence[Step]) -> None:
        """Boxes through which the stream itself goes."""
        for step in steps:
            self._y += _GAP
            self._stream_to(self._y, arrow=True)
            box = self._box(step, 4, _RIGHT)
            self._above = self._y = box.y + box.height

    def _residual(self, residual: Residual) -> None:
        rail = _STREAM
        together = len(residual.branches) > 1
        self._y += _GAP
        shared = None
        if residual.shared:
            _, out = self._chain(residual.shared, (_STREAM, self._y))
            self._y += _GAP / 2
            rail, shared = _SHARED, (out, (out[0], self._y), (_SHARED, self._y))
            self._y += _GAP
        ends = []
        for branch in residual.branches:
            ends.append(self._branch(branch, (rail, self._y)))
            self._y += _GAP
        if shared is not None:
            self._drawing.lines.append(Line((*shared, (_SHARED, self._entry))))
        total = self._y + _SUM
        if together:
            for x, y in ends:
                self._drawing.lines.append(Line(((x, y), (x, y + _GAP / 2), (_BACK, y + _GAP / 2), (_BACK, total))))
            self._drawing.lines.append(Line(((_BACK, total), (_STREAM + _SUM, total)), arrow=True))
        else:
            x, y = ends[0]
            self._drawing.lines.append(Line(((x, y), (x, total), (_STREAM + _SUM, total)), arrow=True))
        self._stream_to(total - _SUM, arrow=True)
        self._drawing.sums.append((_STREAM, total))
        self._drawing.words.append(Word(_STREAM + _SUM + 6, total + 14, residual.total))
        self._above = total + _SUM
        self._y = total + 18
        self._on_stream(residual.after)

    def _branch(self, branch: Branch, start: tuple[float, float]) -> tuple[float, float]:
        """The block, entered from `start`; where it ends."""
        into, out = self._chain(branch.before, start)
        if branch.join is not None:
            out = self._lanes(branch, out, entered=into)
            into = True
        if branch.after:
            _, out = self._chain(branch.after, out, entered=into)
        return out

    def _chain(
        self, steps: Sequence[Step], start: tuple[float, float], *, entered: bool = False
    ) -> tuple[bool, tuple[float, float]]:
        """Boxes below each other from `start`: beside the stream, or below another box if `entered`."""
        for step in steps:
            if entered:
                self._y = start[1] + _GAP
                box = self._box(step, _LEFT, _RIGHT)
                self._drawing.lines.append(Line((start, (start[0], box.y)), arrow=True))
            else:
                box = self._box(step, _LEFT, _RIGHT)
                self._entry = box.y + box.height / 2
                self._drawing.lines.append(Line(((start[0], self._entry), (_LEFT, self._entry)), arrow=True))
            entered, start = True, (box.middle, box.y + box.height)
            self._y = start[1]
        return entered, start

    def _lanes(self, branch: Branch, start: tuple[float, float], *, entered: bool) -> tuple[float, float]:
        """Columns side by side, which join in one box."""
        assert branch.join is not None
        gap = 6.0
        width = (_RIGHT - _LEFT - gap * (len(branch.lanes) - 1)) / len(branch.lanes)
        fork = self._y + (_GAP / 2 if entered else 0.0)
        middles = [_LEFT + index * (width + gap) + width / 2 for index in range(len(branch.lanes))]
        if entered:
            self._drawing.lines.append(Line((start, (start[0], fork))))
        else:
            self._entry = fork
            self._drawing.lines.append(Line(((start[0], fork), (middles[0], fork))))
        self._drawing.lines.append(Line(((middles[0], fork), (middles[-1], fork))))
        ends = []
        for lane, middle in zip(branch.lanes, middles, strict=True):
            out, self._y = (middle, fork), fork
            self._drawing.words.append(Word(middle + 5, fork + 12, lane.name))
            for step in lane.steps:
                self._y = out[1] + _GAP + (_NAMED if out[1] == fork else 0.0)
                box = self._box(step, middle - width / 2, middle + width / 2)
                self._drawing.lines.append(Line((out, (middle, box.y)), arrow=True))
                out = (middle, box.y + box.height)
            ends.append(out)
        self._y = max(y for _, y in ends) + _GAP
        box = self._box(branch.join, _LEFT, _RIGHT)
        self._drawing.lines += [Line((end, (end[0], box.y)), arrow=True) for end in ends]
        self._y = box.y + box.height
        return box.middle, self._y

    def _box(self, step: Step, left: float, right: float) -> Box:
        """A box at `_y` from `left` to `right`, as high as its text."""
        room = right - left - 2 * _PAD
        names = _wrapped(step.name, int(room / _NAME_CHAR))
        does = _wrapped(step.does, int(room / _DOES_CHAR))
        y = self._y + _PAD - 3
        named, said = [], []
        for text in names:
            y += _NAME_LINE
            named.append((y, text))
        for text in does:
            y += _DOES_LINE
            said.append((y, text))
        box = Box(left, self._y, right - left, y + _PAD - self._y, tuple(named), tuple(said))
        self._drawing.boxes.append(box)
        return box


def _wrapped(text: str, width: int) -> list[str]:
    """Lines of at most `width` characters; a name that is longer goes on after an underscore."""
    words = [word if len(word) <= width else word.replace("_", "_ ") for word in text.split()]
    return [line.replace("_ ", "_") for line in textwrap.wrap(" ".join(words), width)]
