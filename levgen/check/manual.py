"""A rule's manual page: its docstring, taken apart for `levgen rule`, the documentation and the tests.

A config field that nothing reads.

Why: what goes wrong, as a consequence.

Bad:
```python models/example.py
...
```

Good:
```python models/example.py
...
```

Fix: what to do.
"""

import inspect
import re
from dataclasses import dataclass

from levgen.check.rule import Rule

_SECTION = re.compile(r"^(Why|Bad|Good|Fix):[ \n]", re.MULTILINE)
_FENCE = re.compile(r"^```(\w+) (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Example:
    """One file of an example."""

    language: str
    path: str
    text: str


@dataclass(frozen=True)
class Manual:
    """A manual page in its parts."""

    code: str
    name: str
    summary: str
    why: str
    bad: tuple[Example, ...]
    good: tuple[Example, ...]
    fix: str


def _examples(section: str) -> tuple[Example, ...]:
    return tuple(Example(*groups) for groups in _FENCE.findall(section))


def manual(rule: Rule) -> Manual:
    """Take a rule's page apart.

    Raises:
        ValueError: a section is missing: a defect of the rule, which its test shows.
    """
    page = inspect.cleandoc(rule.page)
    head, *rest = _SECTION.split(page)
    sections = dict(zip(rest[::2], rest[1::2], strict=True))
    missing = {"Why", "Bad", "Good", "Fix"} - sections.keys()
    bad, good = _examples(sections.get("Bad", "")), _examples(sections.get("Good", ""))
    if missing or not head.strip() or not bad or not good:
        raise ValueError(f"{rule.code} {rule.name}: the page lacks {sorted(missing) or 'a summary or an example'}")
    return Manual(rule.code, rule.name, head.strip(), sections["Why"].strip(), bad, good, sections["Fix"].strip())


def _fenced(examples: tuple[Example, ...]) -> str:
    return "\n\n".join(f'```{one.language} title="{one.path}"\n{one.text}```' for one in examples)


def as_markdown(page: Manual) -> str:
    """The page as Markdown, for the documentation and for `levgen rule`."""
    return (
        f"# {page.name} ({page.code})\n\n{page.summary}\n\n## Why is this bad?\n\n{page.why}\n\n"
        f"## Bad\n\n{_fenced(page.bad)}\n\n## Good\n\n{_fenced(page.good)}\n\n## How to fix it\n\n{page.fix}\n"
    )
