"""`levgen check`: rules that read source. Exit 0 clean, 1 findings, 2 a mistake in the call."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from levgen.errors import LevgenError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from levgen.check.finding import Report

Format = Literal["text", "json", "github", "sarif"]


def check(
    paths: Annotated[list[Path] | None, typer.Argument(help="Files and folders (default: this folder).")] = None,
    select: Annotated[
        list[str] | None, typer.Option(help="Only these codes, prefixes or names; comma or repeat.")
    ] = None,
    ignore: Annotated[list[str] | None, typer.Option(help="Without these codes, prefixes or names.")] = None,
    format: Annotated[Format, typer.Option("--format", help="How the findings are written.")] = "text",
    statistics: Annotated[bool, typer.Option("--statistics", help="Only how often each rule was broken.")] = False,
    fix: Annotated[bool, typer.Option("--fix", help="Mend what can be mended safely.")] = False,
    diff: Annotated[bool, typer.Option("--diff", help="Show what --fix would change; write nothing.")] = False,
    add_noqa: Annotated[
        bool, typer.Option("--add-noqa", help="Switch off what is found, by comments that ask to say why.")
    ] = False,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Check anew what has not changed, too.")] = False,
) -> None:
    """Check models, tests, configs and the project by reading their source. `levgen rule CODE` explains a finding."""
    import gc

    from levgen.check.cache import run_cached

    gc.disable()  # a run is short, and all that it makes lives to its end
    selected, ignored = _codes(select), _codes(ignore)
    targets = paths or [Path()]
    if add_noqa and (fix or diff):
        raise LevgenError("--add-noqa switches findings off, and --fix and --diff mend them: give one of them")
    find = _run_anew if no_cache or fix or diff or add_noqa else run_cached
    report = find(targets, select=selected, ignore=ignored)
    if diff:
        changed = _print_diff(report)
        raise typer.Exit(1 if changed else 0)
    if fix:
        mended = _fix(report)
        if mended:
            report = find(targets, select=selected, ignore=ignored)
            print(f"fixed {mended} file{'' if mended == 1 else 's'}", file=sys.stderr)
    if add_noqa:
        from levgen.check.add_ignores import ignored_texts

        commented = _write(ignored_texts(report.findings))
        report = find(targets, select=selected, ignore=ignored)
        print(f"commented {commented} file{'' if commented == 1 else 's'}", file=sys.stderr)
    print(_written(report, format, statistics=statistics), end="")
    raise typer.Exit(1 if report.findings else 0)


def _run_anew(paths: "Sequence[Path]", *, select: "Sequence[str]", ignore: "Sequence[str]") -> "Report":
    from levgen.check.runner import run

    return run(paths, select=select, ignore=ignore)


def _codes(options: list[str] | None) -> list[str]:
    return [code for option in options or [] for code in option.split(",") if code.strip()]


def _written(report: "Report", format: Format, *, statistics: bool) -> str:
    if statistics:
        from levgen.check.report.text import as_statistics as write
    elif format == "json":
        from levgen.check.report.json import as_json as write
    elif format == "github":
        from levgen.check.report.github import as_github as write
    elif format == "sarif":
        from levgen.check.report.sarif import as_sarif as write
    else:
        from levgen.check.report.text import as_text as write
    text = write(report)
    return f"{text}\n" if text else ""


def _print_diff(report: "Report") -> bool:
    """Print the changes of `--fix` as a unified diff; whether there are any."""
    import difflib

    from levgen.check.edits import fixed_texts

    texts = fixed_texts(report.findings)
    for path, (before, after) in texts.items():
        lines = difflib.unified_diff(
            before.splitlines(keepends=True), after.splitlines(keepends=True), str(path), str(path)
        )
        sys.stdout.writelines(lines)
    print(f"would fix {len(texts)} file{'' if len(texts) == 1 else 's'}; nothing was written", file=sys.stderr)
    return bool(texts)


def _fix(report: "Report") -> int:
    """Write the fixed files; how many there are."""
    from levgen.check.edits import fixed_texts

    return _write(fixed_texts(report.findings))


def _write(texts: "Mapping[Path, tuple[str, str]]") -> int:
    """Write each file's new text; how many there are."""
    from levgen.check.edits import write_text

    for path, (_, after) in texts.items():
        write_text(path, after)
    return len(texts)
