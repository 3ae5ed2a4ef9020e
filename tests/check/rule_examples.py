"""Writing a rule's example into a folder and checking it there."""

from pathlib import Path

import pytest

from levgen.check.finding import Finding
from levgen.check.manual import Example
from levgen.check.runner import run


def write_example(folder: Path, examples: tuple[Example, ...]) -> None:
    """Write the files of an example below `folder`."""
    for one in examples:
        path = folder / one.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(one.text, encoding="utf-8")


def findings_of(folder: Path, files: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> list[Finding]:
    """The findings of a folder that holds these files, checked from inside it."""
    write_example(folder, tuple(Example("", path, text) for path, text in files.items()))
    monkeypatch.chdir(folder)
    return list(run(["."]).findings)
