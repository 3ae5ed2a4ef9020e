"""The tree of a plan, as `tree` draws it, with what happens to each file."""

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Union

from levgen.scaffold.files import Action, Plan

Branch = dict[str, Union["Branch", Action]]

_LABELS = {
    Action.CREATE: "",
    Action.UNCHANGED: "unchanged",
    Action.UPDATE: "updated",
    Action.CONFLICT: "differs",
    Action.OVERWRITE: "overwritten",
    Action.KEEP: "kept: yours differs",
}


def plan_tree(plan: Plan, folder: str) -> str:
    """The files of `plan` as a tree under the line `folder/`, folders before files."""
    lines = _draw(_branches({change.path: change.action for change in plan.changes}), "")
    width = max((len(line) for line, _ in lines), default=0)
    labelled = [f"{line.ljust(width)}  ({label})" if label else line for line, label in lines]
    return "\n".join([f"{folder.rstrip('/')}/", *labelled])


def _branches(actions: Mapping[PurePosixPath, Action]) -> Branch:
    root: Branch = {}
    for path, action in actions.items():
        branch = root
        for part in path.parts[:-1]:
            below = branch.setdefault(part, {})
            assert isinstance(below, dict), "plan_files refuses a file that is a folder too"
            branch = below
        branch[path.name] = action
    return root


def _draw(branch: Branch, indent: str) -> list[tuple[str, str]]:
    ordered = sorted(branch.items(), key=lambda item: (not isinstance(item[1], dict), item[0]))
    lines = []
    for index, (name, below) in enumerate(ordered, start=1):
        is_last = index == len(ordered)
        corner = "└── " if is_last else "├── "
        if isinstance(below, dict):
            lines.append((f"{indent}{corner}{name}/", ""))
            lines += _draw(below, indent + ("    " if is_last else "│   "))
        else:
            lines.append((f"{indent}{corner}{name}", _LABELS[below]))
    return lines
