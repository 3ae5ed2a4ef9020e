"""The tree of a plan."""

from levgen.scaffold.files import PlannedFile, plan_files, settle
from levgen.scaffold.tree import plan_tree


def test_folders_come_first_and_what_happens_is_said(tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models/same.py").write_text("x\n")
    (tmp_path / "models/other.py").write_text("mine\n")
    names = ["pyproject.toml", "models/same.py", "models/other.py", "models/deep/new.py", "a.txt"]
    plan = plan_files(tmp_path, [PlannedFile(name, "x\n") for name in names])
    assert plan_tree(plan, "demo") == (
        "demo/\n"
        "├── models/\n"
        "│   ├── deep/\n"
        "│   │   └── new.py\n"
        "│   ├── other.py    (differs)\n"
        "│   └── same.py     (unchanged)\n"
        "├── a.txt\n"
        "└── pyproject.toml"
    )
    assert "other.py    (overwritten)" in plan_tree(settle(plan, force=True), "demo")
    assert "other.py    (kept: yours differs)" in plan_tree(settle(plan, skip=True), "demo")
