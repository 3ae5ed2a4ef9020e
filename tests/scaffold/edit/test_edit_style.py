"""An edited file keeps its style: ruff's, by the project's settings or by new-model's, or a person's own."""

import pytest

from levgen.scaffold.edit.style import restyle

LONG = "x = function(" + ", ".join(f"argument_{number}" for number in range(8)) + ")\n"


@pytest.fixture
def path(tmp_path):
    (tmp_path / "pyproject.toml").write_text("[tool.ruff]\nline-length = 60\n")
    return tmp_path / "models" / "m.py"


def test_what_was_formatted_is_formatted(path):
    after = restyle("x = 1\n", f"x = 1\n{LONG}", path)
    assert max(map(len, after.splitlines())) <= 60


def test_what_new_model_wrote_stays_in_its_style(path):
    before = "y = function(" + "a" * 90 + ")\n"
    assert restyle(before, f"{before}{LONG}z  =  1\n", path) == f"{before}{LONG}z = 1\n"


def test_what_was_not_formatted_is_left_alone(path):
    before = "import os\nimport ast\nx  = 'mine'\n"
    assert restyle(before, f"{before}import abc\n", path) == f"{before}import abc\n"


def test_imports_are_sorted_and_dropped_where_they_were_sorted_and_used(path):
    before = "import ast\nimport os\n\nprint(ast, os)\n"
    after = "import ast\nimport os\nimport abc\n\nprint(abc, os)\n"
    assert restyle(before, after, path) == "import abc\nimport os\n\nprint(abc, os)\n"
    unused = "import ast\nimport os\n\nprint(os)\n"
    assert restyle(unused, unused.replace("import os\n", "import os\nimport abc\n"), path) == (
        "import abc\nimport ast\nimport os\n\nprint(os)\n"
    )


def test_settings_that_ruff_cannot_read_are_passed_over(path):
    (path.parent.parent / "pyproject.toml").write_text("[tool.ruff]\nline-length = 'wide'\n")
    assert restyle("x = 1\n", "x = 1\ny  =  2\n", path) == "x = 1\ny = 2\n"


def test_a_new_file_is_formatted(path):
    assert restyle("", "import os\nx  =  1\n", path) == "x = 1\n"
