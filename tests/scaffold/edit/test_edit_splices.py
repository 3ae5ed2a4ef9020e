"""Splices of text: what they add between brackets and after statements, and the bytes that they leave alone."""

import libcst as cst
import pytest

from levgen.errors import LevgenError
from levgen.scaffold.edit.sequences import append
from levgen.scaffold.edit.source import PythonSource, Splice, read_source


def appended(text, *new):
    """`text`, a dict, with entries more."""
    source = PythonSource(text, "x.py")
    table = source.module.body[0].body[0].value
    return source.spliced(append(source, table.elements, source.end(table.rbrace) - 1, new))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("d = {}\n", "d = {'n': 1}\n"),
        ("d = {'a': 1}\n", "d = {'a': 1, 'n': 1}\n"),
        ("d = {'a': (1),}\n", "d = {'a': (1), 'n': 1,}\n"),
        ("d = {\n    'a': 1,\n}\n", "d = {\n    'a': 1,\n    'n': 1,\n}\n"),
        ("d = {\n\t'a': 1  # why, #2\n}\n", "d = {\n\t'a': 1,  # why, #2\n\t'n': 1,\n}\n"),
        ("d = {\n  'a': 1,  # why\n\n  # the end\n  }\n", "d = {\n  'a': 1,  # why\n\n  # the end\n  'n': 1,\n  }\n"),
        ("d = {'a': 1,\n     'b': 2}\n", "d = {'a': 1,\n     'b': 2, 'n': 1}\n"),
        ("d = {'ä': 1}  # ö\n", "d = {'ä': 1, 'n': 1}  # ö\n"),
    ],
)
def test_an_entry_more(before, after):
    assert appended(before, "'n': 1") == after


def test_several_entries_keep_their_order():
    assert (
        appended("d = {\n    'a': 1,\n}\n", "'b': 2", "'c': 3") == "d = {\n    'a': 1,\n    'b': 2,\n    'c': 3,\n}\n"
    )


def test_splices_at_one_place_keep_their_order():
    source = PythonSource("a = 1\nb = 2\n", "x.py")
    first = source.module.body[0]
    edited = source.spliced([source.insert_after(first, "x = 1\n"), source.insert_after(first, "y = 1\n")])
    assert edited == "a = 1\nx = 1\ny = 1\nb = 2\n"


def test_splices_that_overlap_are_refused():
    source = PythonSource("a = 1\n", "x.py")
    with pytest.raises(LevgenError, match="two edits meet in line 1"):
        source.spliced([Splice(0, 3, "b"), Splice(2, 4, "c")])


def test_a_line_after_the_last_which_has_no_end():
    source = PythonSource("a = 1  # one", "x.py")
    assert source.spliced([source.insert_after(source.module.body[0], "b = 2\n")]) == "a = 1  # one\nb = 2\n"


def test_a_class_begins_with_its_decorators_and_ends_with_its_last_statement():
    source = PythonSource("# above\n@one\n@two\nclass A:\n    x = 1  # x\n\n    # foot\n", "x.py")
    node = source.module.body[0]
    assert isinstance(node, cst.ClassDef)
    assert source.code(node) == "@one\n@two\nclass A:\n    x = 1"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"x = (\n", r"m\.py is not valid Python: line 1"),
        (b"x = 1\0\n", r"m\.py (is not valid Python|can't be parsed)"),
        (b"x = '\xe4'\n", r"m\.py is not UTF-8: byte 5 is 0xe4"),
        (b"x = 1\r\ny = 2\n", r"m\.py mixes line ends"),
        (b"x = 1\ry = 2\r", r"m\.py mixes line ends"),
    ],
)
def test_a_file_that_cannot_be_edited_is_refused(tmp_path, data, said):
    (tmp_path / "m.py").write_bytes(data)
    with pytest.raises(LevgenError, match=said):
        read_source(tmp_path / "m.py", "m.py")


def test_a_byte_order_mark_stays(tmp_path):
    (tmp_path / "m.py").write_bytes(b"\xef\xbb\xbfx = 1\r\n")
    file = read_source(tmp_path / "m.py", "m.py")
    assert file.source.text == "x = 1\n"
    assert file.with_source("y = 1\n") == "\ufeffy = 1\n"
