"""Values as source: of Python and of YAML."""

import itertools
import re
from typing import Any

import yaml


def literal(value: Any, kind: str) -> str:
    """Python source of a default."""
    if isinstance(value, list | tuple):
        return _repeated(_tuples(value))
    if value is None:
        return "None"
    if kind == "Rotary":
        return f"Rotary({', '.join(f'{key}={item!r}' for key, item in value.items())})"
    if kind.startswith("float"):
        return re.sub(r"e([-+])0*(\d)", r"e\1\2", repr(float(value)))  # 1e-6, not 1e-06
    if isinstance(value, str):
        return f'"{value}"'
    return repr(value)


def _tuples(value: Any) -> Any:
    """Lists within lists as tuples."""
    return tuple(_tuples(item) for item in value) if isinstance(value, list | tuple) else value


def _lists(value: Any) -> Any:
    return [_lists(item) for item in value] if isinstance(value, list | tuple) else value


def _repeated(values: tuple[Any, ...]) -> str:
    """Python source of a tuple, a long one as its shortest repeating period: `("full", "full", "sliding") * 8`.

    Where it doesn't repeat from its start, what comes before: `("dense", *("sparse",) * 46)`; and what comes after.
    Numbers in even steps are a range: `tuple(range(1, 48, 2))`.
    """
    if len(values) <= _SHORT:
        return _double_quoted(values)
    if all(type(value) is int for value in values):
        counted = range(values[0], values[-1] + 1, max(values[1] - values[0], 1))
        if tuple(counted) == values:
            step = f", {counted.step}" if counted.step > 1 else ""
            start = f"{counted.start}, " if counted.start or step else ""
            return f"tuple(range({start}{counted.stop}{step}))"
    period = next(n for n in range(1, len(values) + 1) if all(values[i] == values[i % n] for i in range(len(values))))
    times, rest = divmod(len(values), period)
    if times == 1:
        alike = len(list(next(itertools.groupby(reversed(values)))[1]))
        if alike <= _SHORT:
            return _repeated_within(values)
        first = _double_quoted(values[:-alike]).strip("()").rstrip(",")
        return f"({first}, *{_double_quoted(values[-1:])} * {alike})"
    repeated = f"{_double_quoted(values[:period])} * {times}"
    return f"(*{repeated}, {_double_quoted(values[-rest:])[1:]}" if rest else repeated


def _repeated_within(values: tuple[Any, ...]) -> str:
    """The same of a tuple that repeats neither from its start nor to its end: what repeats, between all others.

    It is written out where that leaves more than half of it.
    """
    count = len(values)

    def times(start: int, period: int) -> int:
        turn, found = values[start : start + period], 1
        while values[start + found * period : start + (found + 1) * period] == turn:
            found += 1
        return found

    ways = [
        (count - (found - 1) * period, start, period, found)
        for start in range(count)
        for period in range(1, (count - start) // 2 + 1)
        if (found := times(start, period)) > 1
    ]
    written, start, period, found = min(ways, default=(count, 0, count, 1))
    if 2 * written > count:
        return _double_quoted(values)
    first, turn, last = values[:start], values[start : start + period], values[start + period * found :]
    parts = [repr(entry) for entry in first] + [f"*{turn!r} * {found}"] + [repr(entry) for entry in last]
    return f"({', '.join(parts)})".replace("'", '"')


# How many entries of a tuple are written out.
_SHORT = 4


def _double_quoted(values: tuple[Any, ...]) -> str:
    return repr(values).replace("'", '"')


def one_line_yaml(value: Any) -> str:
    """One line of YAML."""
    value = _lists(value)
    return yaml.safe_dump(value, default_flow_style=True, width=10_000).removesuffix("\n...\n").strip()


def over_hf(expression: str) -> str:
    """`4 * n_embd` -> `4 * hf.n_embd`; words in quotes stay as they are."""
    return re.sub(r"\b(?<!')(?!(?:is|not|None)\b)([A-Za-z_]\w*)", r"hf.\1", expression)
