"""Imports that new code needs: found, merged or added, whatever way the file imports."""

import pytest

from levgen.errors import LevgenError
from levgen.scaffold.edit.bindings import Import, bindings
from levgen.scaffold.edit.imports import Imports
from levgen.scaffold.edit.source import PythonSource

KNOWN = {
    one.name: one
    for one in (
        Import("Linear", "levgen.runtime", "Linear"),
        Import("RmsNorm", "levgen.runtime", "RmsNorm"),
        Import("hax", "haliax"),
        Import("jnp", "jax.numpy"),
        Import("jrandom", "jax.random"),
        Import("PRNGKeyArray", "jaxtyping", "PRNGKeyArray"),
    )
}


def resolved(text, code):
    """`code` as it reads in the file `text`, and the file with the imports that it needs."""
    source = PythonSource(text, "models/m.py")
    imports = Imports(source, bindings(source))
    return imports.resolve(code, KNOWN), source.spliced(imports.splices())


@pytest.mark.parametrize(
    ("before", "after", "code"),
    [
        # What is there is used, under the name that it has.
        ("from levgen.runtime import Linear\n", None, "Linear(1)"),
        ("from levgen.runtime import Linear as L\n", None, "L(1)"),
        ("from levgen import runtime\n", None, "runtime.Linear(1)"),
        ("import levgen.runtime as rt\n", None, "rt.Linear(1)"),
        ("import levgen.runtime\n", None, "levgen.runtime.Linear(1)"),
        ("from levgen.runtime import *\n", None, "Linear(1)"),
        ("try:\n    from levgen.runtime import Linear\nexcept ImportError:\n    Linear = None\n", None, "Linear(1)"),
        # What isn't is merged into the statement that imports from the same module.
        ("from levgen.runtime import Rotary\n", "from levgen.runtime import Rotary, Linear\n", "Linear(1)"),
        (
            "from levgen.runtime import (\n    Rotary,  # why\n)\n",
            "from levgen.runtime import (\n    Rotary,  # why\n    Linear,\n)\n",
            "Linear(1)",
        ),
        ("from levgen.runtime import (Rotary)\n", "from levgen.runtime import (Rotary, Linear)\n", "Linear(1)"),
        (
            "from levgen import runtime\nfrom levgen.runtime import Rotary\n",
            "from levgen import runtime\nfrom levgen.runtime import Rotary, Linear\n",
            "Linear(1)",
        ),
        # Or gets a statement after the last import.
        (
            "'''Doc.'''\nimport os\n\nx = 1\n",
            "'''Doc.'''\nimport os\nfrom levgen.runtime import Linear\n\nx = 1\n",
            "Linear(1)",
        ),
        ("'''Doc.'''\n\nx = 1\n", "'''Doc.'''\n\nfrom levgen.runtime import Linear\n\nx = 1\n", "Linear(1)"),
        ("x = 1\n", "from levgen.runtime import Linear\n\nx = 1\n", "Linear(1)"),
        ("", "from levgen.runtime import Linear\n\n", "Linear(1)"),
    ],
)
def test_a_name_from_a_module(before, after, code):
    assert resolved(before, "Linear(1)") == (code, before if after is None else after)


@pytest.mark.parametrize(
    ("before", "code"),
    [
        ("import haliax as hax\nimport jax.random as jrandom\n", "hax.ones(jrandom.split(2))"),
        ("import haliax\nfrom jax import random\n", "haliax.ones(random.split(2))"),
        ("import haliax, jax.random\n", "haliax.ones(jax.random.split(2))"),
    ],
)
def test_modules_under_other_names(before, code):
    assert resolved(before, "hax.ones(jrandom.split(2))") == (code, before)


def test_attributes_keywords_and_names_of_its_own_are_left_alone():
    code = "def f(jnp, x):\n    y = x.Linear(Linear=1)\n    return jnp.exp(y)\n"
    assert resolved("x = 1\n", code) == (code, "x = 1\n")


@pytest.mark.parametrize(
    "taken", ["class Linear: ...\n", "Linear = 1\n", "from mine import Linear\n", "import Linear\n"]
)
def test_a_name_that_stands_for_something_else_is_refused(taken):
    with pytest.raises(LevgenError, match=r"has a Linear of its own, and new code needs that of levgen\.runtime"):
        resolved(taken, "Linear(1)")


def test_an_import_for_type_checkers_serves_annotations_that_are_not_evaluated():
    block = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from jaxtyping import PRNGKeyArray\n"
    deferred = "from __future__ import annotations\n" + block
    annotated = "def f(*, key: PRNGKeyArray) -> None:\n    pass\n"
    assert resolved(deferred, annotated) == (annotated, deferred)
    for before, code in ((block, annotated), (deferred, "x = PRNGKeyArray\n")):
        with pytest.raises(LevgenError, match="imports PRNGKeyArray for type checkers only"):
            resolved(before, code)


def test_statements_below_the_first_class_are_not_merged_into():
    before = "import os\n\n\nclass A: ...\n\n\nfrom levgen.runtime import Rotary\n"
    assert resolved(before, "Linear(1)")[1] == before.replace("os\n", "os\nfrom levgen.runtime import Linear\n", 1)
