"""Importing a file by its path."""

import sys
from pathlib import Path

import pytest

from levgen.importing import import_file


def test_a_file_takes_the_place_of_one_of_its_name(tmp_path: Path) -> None:
    for folder in ("first", "second"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "made.py").write_text(f"import sys\nWHERE = {folder!r}\nITSELF = sys.modules[__name__]\n")
        module = import_file(tmp_path / folder / "made.py", "made_twice")
        assert (folder, module) == (module.WHERE, module.ITSELF)
    del sys.modules["made_twice"]


def test_what_fails_leaves_no_module(tmp_path: Path) -> None:
    path = tmp_path / "broken.py"
    path.write_text("raise ValueError('halfway')")
    with pytest.raises(ValueError, match="halfway"):
        import_file(path, "broken_halfway")
    assert "broken_halfway" not in sys.modules


def test_what_is_no_python_file(tmp_path: Path) -> None:
    with pytest.raises(ImportError, match=r"notes\.txt is not a Python file"):
        import_file(tmp_path / "notes.txt", "notes")
