"""Test files: a new test brings the helpers that it needs, and marks go when their stubs are written."""

import pytest

from levgen.errors import LevgenError
from levgen.scaffold.edit.snippets import take_apart
from levgen.scaffold.edit.source import PythonSource
from levgen.scaffold.edit.tests_file import TestsFile, tiny_values

RENDERED = take_apart('''\
"""Tests."""

import haliax as hax
from haliax import Axis
from levgen.runtime import Rotary

from models.m import MConfig

Batch = Axis("batch", 2)
Seq = Axis("position", 64)

# Small.
TINY = MConfig(
    width=80,
    rope=Rotary(theta=500.0),
)


def _inputs(config):
    return hax.ones((Batch, Seq))


# A section of its own.


def test_mlp_forward() -> None:
    assert _inputs(TINY)
''')
TEST = "\n\ndef test_mlp_forward() -> None:\n    assert _inputs(TINY)\n"
INPUTS = "\n\ndef _inputs(config):\n    return hax.ones((Batch, Seq))\n"


def editor(text):
    return TestsFile(PythonSource(text, "tests/test_m.py"))


def with_test(text):
    tests = editor(text)
    tests.add_test("test_mlp_forward", RENDERED, RENDERED.imports)
    return tests.text()


def test_an_empty_file_gets_all_that_the_test_needs():
    imports, rest = with_test('"""Mine."""\n').removeprefix('"""Mine."""\n\n').split("\n\n", 1)
    assert set(imports.splitlines()) == {one.statement for one in RENDERED.imports.values()}
    assert rest == (
        'Batch = Axis("batch", 2)\n\nSeq = Axis("position", 64)\n\n# Small.\n'
        f"TINY = MConfig(\n    width=80,\n    rope=Rotary(theta=500.0),\n)\n{INPUTS}{TEST}"
    )


def test_helpers_that_are_there_are_used_and_new_ones_stand_among_them():
    head = "import haliax as hax\nfrom haliax import Axis\n\nBatch = Axis('batch', 3)  # mine\n"
    tail = "TINY = 1\n\n\ndef test_old_forward(): ...\n\n\n# The rest.\n\n\ndef test_files(): ...\n"
    assert with_test(head + tail) == (
        head
        + '\nSeq = Axis("position", 64)\n'
        + tail.replace("TINY = 1\n", f"TINY = 1\n{INPUTS}").replace(
            "old_forward(): ...\n", f"old_forward(): ...\n{TEST}"
        )
    )


def test_a_test_is_known_by_the_class_that_it_names():
    tests = editor("class TestIt:\n    def test_all(self):\n        MMlp.init()\n\ndef helper():\n    MAttention\n")
    assert tests.test_of("MMlp") == "test_all"
    assert tests.test_of("MAttention") is None
    assert tests.test_of("Mlp") is None


@pytest.mark.parametrize(
    ("helper", "layers", "plain"),
    [
        ("", ("x, mask, pos_ids", "x, mask, pos_ids"), ("x, mask", "x, mask")),
        ("return x, mask, pos", ("x, mask, pos_ids", "x, mask, pos_ids"), ("x, mask, *_", "x, mask")),
        ("return x, mask", ("x, mask", "x, mask, hax.arange(Seq)"), ("x, mask", "x, mask")),
    ],
)
def test_what_the_inputs_helper_returns(helper, layers, plain):
    tests = editor(f"def _get_random_inputs(config):\n    {helper}\n" if helper else "")
    assert tests.inputs(positions=True) == layers
    assert tests.inputs(positions=False) == plain


@pytest.mark.parametrize("body", ["return x", "return inputs(config)", "pass", "return (x, mask) if config else None"])
def test_an_inputs_helper_of_another_kind_is_refused(body):
    with pytest.raises(LevgenError, match=r"tests/test_m\.py: expected _get_random_inputs to return"):
        editor(f"def _get_random_inputs(config):\n    {body}\n").inputs(positions=True)


def test_the_length_of_the_sequences():
    assert [editor(text).length() for text in ("", 'Seq = Axis("position", 12)\n')] == [64, 12]
    with pytest.raises(LevgenError, match="expected Seq = Axis"):
        editor('Seq = Axis("position", LENGTH)\n').length()


@pytest.mark.parametrize(
    ("before", "after", "done"),
    [
        ("TINY = MConfig(width=3)\n", "TINY = MConfig(width=3, rope=Rotary(theta=500.0))\n", True),
        (
            "TINY: MConfig = m.MConfig(\n    a=3\n)\n",
            "TINY: MConfig = m.MConfig(\n    a=3,\n    width=80,\n    rope=Rotary(theta=500.0),\n)\n",
            True,
        ),
        ("TINY = MConfig(rope=1, width=2)\n", "TINY = MConfig(rope=1, width=2)\n", True),
        ("TINY = replace(BASE, width=3)\n", "TINY = replace(BASE, width=3, rope=Rotary(theta=500.0))\n", True),
        ("TINY = tiny_config(MConfig)\n", "TINY = tiny_config(MConfig)\n", False),
        ("TINY = BASE\n", "TINY = BASE\n", False),
    ],
)
def test_new_fields_get_small_values(before, after, done):
    head = "from levgen.runtime import Rotary\n"
    tests = editor(head + before)
    assert tests.add_to_tiny(tiny_values(RENDERED), RENDERED.imports) is done
    assert tests.text() == head + after


def test_marks():
    """Those that wait for the class say so no more, those that wait for it alone go, all others stay."""
    mark = "@pytest.mark.xfail(strict=True, reason='to be written: {}')\n"
    function = "def test_{}(): ...\n"
    other = "@pytest.mark.xfail(reason='a bug of mine: MMlp')\n@pytest.mark.slow\n"
    before = (
        "@mine  # first\n" + mark.format("MMlp") + function.format("a")
        + mark.format("MAttention, MMlp, MGone") + function.format("b")
        + mark.format("MAttention") + function.format("c")
        + other + function.format("d")
    )  # fmt: skip
    tests = editor(before)
    tests.drop_marks("MMlp", ["MAttention", "MMlp"])
    assert tests.text() == (
        "@mine  # first\n" + function.format("a")
        + mark.format("MAttention").replace("'", '"') + function.format("b")
        + mark.format("MAttention") + function.format("c")
        + other + function.format("d")
    )  # fmt: skip
