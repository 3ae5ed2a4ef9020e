"""What commands that write files have in common: dry run, diff, conflicts, the tree and the next commands."""

import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from levgen.cli.console import BOLD, YELLOW, ask, can_ask, print_note, printable, styled
from levgen.errors import LevgenError
from levgen.project import Project, find_project
from levgen.scaffold.files import Change, Plan, PlannedFile, plan_files, settle
from levgen.scaffold.journal import JOURNAL, recover
from levgen.scaffold.tree import plan_tree


@dataclass(frozen=True)
class WriteOptions:
    """The options of a command that writes files."""

    dry_run: bool = False
    diff: bool = False
    force: bool = False
    skip: bool = False
    json: bool = False


def project_to_edit(dest: Path, *, only_show: bool) -> Project:
    """The project that `dest` lies in, whose files are to be read and changed; with `only_show` nothing is written.

    What is edited has to be whole first: a write that was interrupted is finished before anything is read.
    Raises LevgenError where there is no project.
    """
    project = find_project(dest)
    if not project.exists:
        raise LevgenError(f"{dest.absolute()} is in no project", "go to one, or make one: levgen new-model my_model")
    if not only_show and recover(project.root):
        print_note(f"finished a write in {project.root} that was interrupted")
    return project


def write_files(
    root: Path,
    files: Sequence[PlannedFile],
    options: WriteOptions,
    next_commands: Sequence[str] = (),
    dest: Path = Path(),
    stubs: Sequence[Mapping[str, str]] = (),
) -> Plan:
    """Writes `files` under `root` as `options` say, and prints what was done.

    On a terminal it asks about each file that is there and differs. Raises LevgenError (nothing is written then) where
    it can't ask and neither `force` nor `skip` says what to do, and where the system refuses.

    Args:
        next_commands: what to try next, in the folder `dest`.
        stubs: classes in the files that stand for what a survey didn't understand, as `UnknownView.as_data` has them.
    """
    if options.force and options.skip:
        raise LevgenError("--force and --skip contradict each other: give one of them")
    only_show = options.dry_run or options.diff
    if only_show and (root / JOURNAL).exists():
        print_note(f"a write in {root} was interrupted; the next one finishes it first, which may change what is shown")
    elif recover(root):
        print_note(f"finished a write in {root} that was interrupted")
    plan = plan_files(root, files)
    if only_show:
        if options.force or options.skip:
            plan = settle(plan, force=options.force, skip=options.skip)
    else:
        may_ask = can_ask() and not options.json
        plan = settle(plan, force=options.force, skip=options.skip, ask=_ask_about if may_ask else None)
        plan.write()
    go = "" if dest == Path() else f"cd {shlex.quote(str(dest))} && "
    _print(plan, options, [] if only_show else [go + command for command in next_commands], stubs)
    return plan


def _ask_about(change: Change) -> bool:
    answers = {"no": "keep yours", "yes": "overwrite it", "diff": "show the difference first"}
    while True:
        answer = ask(f"{change.path} is there and differs. Overwrite it?", answers)
        if answer != "diff":
            return answer == "yes"
        print(change.diff(), file=sys.stderr)


def _print(plan: Plan, options: WriteOptions, next_commands: Sequence[str], stubs: Sequence[Mapping[str, str]]) -> None:
    only_show = options.dry_run or options.diff
    if options.json:
        report = plan.as_json(written=not only_show and any(change.writes for change in plan.changes))
        if options.diff:
            report["diff"] = plan.diff()
        if stubs:
            report["stubs"] = [dict(stub) for stub in stubs]
        print(json.dumps(report, indent=2))
        return
    if options.diff:
        print(plan.diff(), end="")
        print("Nothing was written (--diff).", file=sys.stderr)
        return
    print(plan_tree(plan, _shown(plan.root)))
    _print_stubs(stubs)
    if options.dry_run:
        print("\nNothing was written (--dry-run).")
    elif not any(change.writes for change in plan.changes):
        print("\nNothing to write: all of it is there.")
    elif next_commands:
        print("\n" + styled("Next:", BOLD, sys.stdout))
        print("\n".join(f"  {command}" for command in next_commands))


def _print_stubs(stubs: Sequence[Mapping[str, str]]) -> None:
    if not stubs:
        return
    title = "Partly a stub:" if len(stubs) == 1 else "Partly stubs:"
    told = "levgen doesn't know what this computes, and doesn't guess. What is around it is written and proven."
    told = told if len(stubs) == 1 else told.replace("this computes", "these compute").replace(" it ", " them ")
    print(f"\n{styled(title, YELLOW, sys.stdout)} {told}")
    for stub in stubs:
        print(f"  {stub['class']} in {stub['file']}, which stands for {stub['module']}")
        print(f"    observed:  {printable(stub['observed'])}")
        if stub["where"]:
            print(f"    reference: {printable(stub['where'])}")


def _shown(root: Path) -> str:
    """`root` as the user would type it."""
    resolved = root.resolve()
    try:
        return str(resolved.relative_to(Path.cwd()))
    except ValueError:
        return str(resolved)
