"""The losses of a run as a picture: of characters for a terminal, and as SVG."""

from collections.abc import Sequence
from pathlib import Path

Point = tuple[int, float]  # step, loss
WIDTH, HEIGHT = 64, 10  # characters
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))  # of a braille character: 4 rows, 2 columns


def draw(losses: Sequence[Point], *, width: int = WIDTH, height: int = HEIGHT) -> str:
    """The curve of `losses` in braille dots, with the greatest and the least loss and the steps at its edges.

    `height`: in lines, at least 2.
    """
    columns, rows = 2 * width, 4 * height
    first, last = losses[0][0], losses[-1][0]
    means = _means(losses, columns, first, last)
    top, bottom = max(means.values()), min(means.values())
    cells = [[0] * width for _ in range(height)]
    for column, loss in means.items():
        row = round((top - loss) / (top - bottom or 1.0) * (rows - 1))
        cells[row // 4][column // 2] |= _DOTS[row % 4][column % 2]
    labels = [f"{top:.3f}", *[""] * (height - 2), f"{bottom:.3f}"]
    margin = max(map(len, labels))
    lines = [f"{label:>{margin}} │{_text(row)}" for label, row in zip(labels, cells, strict=True)]
    below = f"{first}{last:>{width - len(str(first))}}"
    return "\n".join([*lines, f"{'step':>{margin}}  {below}"])


def _means(losses: Sequence[Point], columns: int, first: int, last: int) -> dict[int, float]:
    """The mean loss of each column that has a step."""
    grouped: dict[int, list[float]] = {}
    for step, loss in losses:
        grouped.setdefault(round((step - first) / max(last - first, 1) * (columns - 1)), []).append(loss)
    return {column: sum(group) / len(group) for column, group in grouped.items()}


def _text(cells: list[int]) -> str:
    return "".join(chr(0x2800 + cell) if cell else " " for cell in cells).rstrip()


def write_svg(path: Path, losses: Sequence[Point], evaluated: Sequence[Point]) -> None:
    """Writes the curves of training and evaluation to `path`."""
    every = [*losses, *evaluated]
    first, last = min(step for step, _ in every), max(step for step, _ in every)
    top, bottom = max(loss for _, loss in every), min(loss for _, loss in every)

    def points(curve: Sequence[Point]) -> str:
        places = (
            (60 + 520 * (step - first) / max(last - first, 1), 20 + 260 * (top - loss) / (top - bottom or 1.0))
            for step, loss in curve
        )
        return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)

    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 600 320" font-family="sans-serif" font-size="12">\n'
        '<rect width="600" height="320" fill="white"/>\n'
        '<path d="M60 20V280H580" fill="none" stroke="#888"/>\n'
        f'<polyline points="{points(losses)}" fill="none" stroke="#1f77b4" stroke-width="1.5"/>\n'
        f'<polyline points="{points(evaluated)}" fill="none" stroke="#d62728" stroke-width="1.5"/>\n'
        f'<text x="52" y="26" text-anchor="end">{top:.3f}</text>'
        f'<text x="52" y="284" text-anchor="end">{bottom:.3f}</text>\n'
        f'<text x="60" y="300">step {first}</text><text x="580" y="300" text-anchor="end">{last}</text>\n'
        '<text x="580" y="34" text-anchor="end" fill="#1f77b4">loss</text>'
        '<text x="580" y="50" text-anchor="end" fill="#d62728">eval loss</text>\n'
        "</svg>\n",
        encoding="utf-8",
    )
