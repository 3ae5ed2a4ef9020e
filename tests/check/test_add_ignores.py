"""Comments that switch off what is found: they stand where they count, and the code stays what it was."""

import ast
from pathlib import Path

import pytest

from levgen.check.add_ignores import REASON, ignored_texts
from levgen.check.runner import run

REUSED = "import jax\n\n\ndef f(key):\n    return g(key), h(key)\n"


def _commented(folder: Path, text: str) -> str:
    path = folder / "x.py"
    path.write_text(text, encoding="utf-8")
    for file, (_, after) in ignored_texts(run([path]).findings).items():
        file.write_text(after, encoding="utf-8")
    return path.read_text(encoding="utf-8")


def test_a_comment_at_the_end_of_the_line(tmp_path: Path) -> None:
    after = _commented(tmp_path, REUSED)
    assert after == REUSED.replace("h(key)", f"h(key)  # levgen: ignore[LEV201] {REASON}")
    assert run([tmp_path / "x.py"]).findings == ()


@pytest.mark.parametrize(
    "last",
    [
        "    return g(key), h(key)" + " + 1" * 25,
        '    return g(key), h(key), """\n    text"""',
        "    return g(key), h(key), \\\n        1",
    ],
    ids=["long", "string", "backslash"],
)
def test_a_line_of_its_own_where_none_can_stand_at_the_end(tmp_path: Path, last: str) -> None:
    before = f"import jax\n\n\ndef f(key):\n{last}\n"
    after = _commented(tmp_path, before)
    assert f"    # levgen: ignore[LEV201] {REASON}\n{last}" in after
    assert ast.dump(ast.parse(after)) == ast.dump(ast.parse(before))
    assert run([tmp_path / "x.py"]).findings == ()


def test_a_comment_that_is_there_takes_the_code_and_keeps_its_reason(tmp_path: Path) -> None:
    line = "    return g(key), h(key)  # levgen: ignore[LEV202] it is so\n"
    after = _commented(tmp_path, f"import jax\n\n\ndef f(key):\n{line}")
    assert "# levgen: ignore[LEV202, LEV201] it is so\n" in after


def test_twice_changes_nothing_more(tmp_path: Path) -> None:
    once = _commented(tmp_path, REUSED)
    assert _commented(tmp_path, once) == once
