"""Adding to what stands between brackets, in its layout: names of an import, entries of a table, arguments."""

from collections.abc import Sequence

import libcst as cst

from levgen.scaffold.edit.source import PythonSource, Splice


def append(source: PythonSource, items: Sequence[cst.CSTNode], closing: int, new: Sequence[str]) -> list[Splice]:
    """`new` after the last of `items`, which end before the bracket at `closing`.

    Without a bracket `closing` is the end of the last item. Where the bracket stands on a line of its own each of `new`
    gets a line; else they follow on the line of the last.
    """
    if not items:
        return [Splice(closing, closing, ", ".join(new))]
    end = _significant_end(source, source.end(items[-1]), closing)
    has_comma = source.data[end - 1 : end] == b","
    own_line = source.between(source.line_start(closing), closing).strip() == ""
    if not own_line:
        text = (" " if has_comma else ", ") + ", ".join(new) + ("," if has_comma else "")
        return [Splice(end, end, text)]
    indent = source.indent(source.start(items[-1]))
    lines = "".join(f"{indent}{item},\n" for item in new)
    comma = [] if has_comma else [Splice(end, end, ",")]
    place = source.line_start(closing)
    return [*comma, Splice(place, place, lines)]


def _significant_end(source: PythonSource, start: int, closing: int) -> int:
    """The end of the last thing between an item and the bracket that is neither a comment nor white space."""
    end, offset = start, start
    for line in source.data[start:closing].splitlines(keepends=True):
        # Past the item there are brackets and commas only: what follows a hash is a comment.
        code = line.partition(b"#")[0].rstrip()
        if code:
            end = offset + len(code)
        offset += len(line)
    return end
