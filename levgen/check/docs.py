"""Writes the rules' pages: `python -m levgen.check.docs docs/rules`."""

import sys
from pathlib import Path

from levgen.check.manual import as_markdown, manual
from levgen.check.registry import all_rules

FAMILIES = {
    "0": "The check itself",
    "1": "Config",
    "2": "Modules",
    "3": "Tests",
    "4": "Hugging Face maps",
    "5": "YAML",
    "6": "Project",
}


def pages() -> dict[str, str]:
    """Every page of the documentation, by file name; `README.md` is the list."""
    manuals = [manual(rule) for rule in all_rules().values()]
    written = {f"{page.code}.md": as_markdown(page) for page in manuals}
    lines = ["# Rules of `levgen check`", "", "Written from the rules by `python -m levgen.check.docs docs/rules`.", ""]
    for digit, family in FAMILIES.items():
        lines += [f"## LEV{digit}xx: {family}", "", "| code | name | finds |", "|---|---|---|"]
        lines += [
            f"| [{page.code}]({page.code}.md) | {page.name} | {' '.join(page.summary.split())} |"
            for page in manuals
            if page.code[3] == digit
        ]
        lines.append("")
    written["README.md"] = "\n".join(lines)
    return written


def write(folder: Path) -> None:
    """Write every page into `folder` and remove pages of rules that are no more."""
    folder.mkdir(parents=True, exist_ok=True)
    current = pages()
    for old in folder.glob("LEV*.md"):
        if old.name not in current:
            old.unlink()
    for name, text in current.items():
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
