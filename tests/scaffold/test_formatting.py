"""Formatting generated source, in processes beside."""

import pytest

from levgen.errors import LevgenError
from levgen.scaffold.formatting import Formatting, format_python


def test_unused_imports_go_and_the_code_is_laid_out() -> None:
    source = "import os\nimport sys\nfrom models.x import X\nimport jax\nprint( sys, X,jax )\n"
    assert format_python(source, first_party="models") == (
        "import sys\n\nimport jax\n\nfrom models.x import X\n\nprint(sys, X, jax)\n"
    )


def test_several_at_a_time_and_long_ones() -> None:
    running = [Formatting(f"x = [{'1,' * count}]\n") for count in (1, 100_000)]
    short, long = [one.result for one in running]
    assert short == "x = [\n    1,\n]\n"
    assert long.count("    1,\n") == 100_000


def test_what_is_no_python_is_said() -> None:
    with pytest.raises(LevgenError, match="could not format"):
        format_python("class 3:\n")
