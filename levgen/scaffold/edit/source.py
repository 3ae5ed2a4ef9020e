"""A Python file that a person may have edited: its libcst tree, and edits that leave every other byte alone.

An edit is a splice of text at the place of a node. Nothing is printed back from the tree, so comments, blank lines and
layout stay as they are.
"""

import ast
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import cast

import libcst as cst
from libcst.metadata import ByteSpanPositionProvider, CodeSpan, MetadataWrapper

from levgen.errors import LevgenError

_BOM = "\ufeff"


@dataclass(frozen=True)
class Splice:
    """`text` in the place of the bytes from `start` to `end`."""

    start: int
    end: int
    text: str


class PythonSource:
    """Python source, and where its nodes lie in it (bytes of UTF-8).

    Args:
        text: the source, with Unix line ends.
        shown: how errors name the file.

    Raises LevgenError for text that is not Python.
    """

    def __init__(self, text: str, shown: str) -> None:
        self.text = text
        self.shown = shown
        self.data = text.encode("utf-8")
        try:
            ast.parse(text)
            parsed = cst.parse_module(text)
        except SyntaxError as error:
            raise LevgenError(
                f"{shown} is not valid Python: line {error.lineno}: {error.msg}", "mend it first"
            ) from error
        except (ValueError, cst.ParserSyntaxError) as error:
            raise LevgenError(f"{shown} can't be parsed: {error}", "mend it first") from error
        self.module = parsed

    @cached_property
    def _spans(self) -> dict[cst.CSTNode, CodeSpan]:
        wrapper = MetadataWrapper(self.module, unsafe_skip_copy=True)
        return cast(dict[cst.CSTNode, CodeSpan], wrapper.resolve(ByteSpanPositionProvider))

    def start(self, node: cst.CSTNode) -> int:
        """Where `node` begins; a class or function with its decorators."""
        decorators = getattr(node, "decorators", ())
        return int(self._spans[decorators[0] if decorators else node].start)

    def end(self, node: cst.CSTNode) -> int:
        """Where `node` ends, without a comment after it."""
        span = self._spans[node]
        return int(span.start + span.length)

    def code(self, node: cst.CSTNode) -> str:
        """The source of `node`, from its start to its end."""
        return self.between(self.start(node), self.end(node))

    def between(self, start: int, end: int) -> str:
        return self.data[start:end].decode("utf-8")

    def line_start(self, offset: int) -> int:
        return self.data.rfind(b"\n", 0, offset) + 1

    def next_line(self, offset: int) -> int:
        """Where the line after that of `offset` begins; the end of the file where there is none."""
        newline = self.data.find(b"\n", offset)
        return len(self.data) if newline < 0 else newline + 1

    def line_number(self, offset: int) -> int:
        return self.data.count(b"\n", 0, offset) + 1

    def indent(self, offset: int) -> str:
        """The white space with which the line of `offset` begins."""
        line = self.between(self.line_start(offset), self.next_line(offset))
        return line[: len(line) - len(line.lstrip())]

    def insert_after(self, node: cst.CSTNode, text: str) -> Splice:
        """`text`, which is whole lines, on the line after `node`."""
        return self.insert_line(self.next_line(self.end(node)), text)

    def insert_line(self, offset: int, text: str) -> Splice:
        """`text`, which is whole lines, at the beginning of the line at `offset`."""
        unfinished = offset == len(self.data) and self.data and not self.data.endswith(b"\n")
        return Splice(offset, offset, "\n" + text if unfinished else text)

    def spliced(self, splices: Iterable[Splice]) -> str:
        """The text with the splices made. Those at one place keep their order."""
        pieces, done = [], 0
        for splice in sorted(splices, key=lambda splice: splice.start):
            if splice.start < done:
                raise LevgenError(f"{self.shown}: two edits meet in line {self.line_number(splice.start)}")
            pieces += [self.data[done : splice.start], splice.text.encode("utf-8")]
            done = splice.end
        return b"".join([*pieces, self.data[done:]]).decode("utf-8")


@dataclass(frozen=True)
class SourceFile:
    """A file on disk: its text as `levgen.scaffold.files` compares it, and its source."""

    text: str  # with Unix line ends
    source: PythonSource

    def with_source(self, edited: str) -> str:
        """The file's new text, for an edited source."""
        return _BOM + edited if self.text.startswith(_BOM) else edited


def read_source(path: Path, shown: str) -> SourceFile:
    """The Python file at `path`. Raises LevgenError for one that isn't UTF-8, isn't Python, or mixes line ends."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise LevgenError(f"{shown} can't be read: {error.strerror}") from error
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise LevgenError(f"{shown} is not UTF-8: byte {error.start} is {data[error.start]:#04x}") from error
    unix = text.replace("\r\n", "\n")
    if "\r" in unix or ("\r\n" in text and text.count("\r\n") != unix.count("\n")):
        raise LevgenError(f"{shown} mixes line ends, which an edit would change", "give all lines the same end first")
    return SourceFile(unix, PythonSource(unix.removeprefix(_BOM), shown))
