"""`levgen doctor`: what this installation has, what is wrong with it, and the commands that mend it."""

import json as json_format
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import typer

from levgen.cli.console import RED, YELLOW, styled

MINIMUM_DISK = 2 * 1024**3  # bytes: a tiny training run with a few checkpoints


@dataclass(frozen=True)
class Diagnosis:
    """One line of the report. `note` is something to know, `wrong` something to mend."""

    name: str
    status: Literal["ok", "note", "wrong"]
    found: str
    mend: list[str] = field(default_factory=list)


def doctor(
    deep: Annotated[bool, typer.Option("--deep", help="Also import jax and list its devices (takes seconds).")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> int:
    """Check this installation and say how to mend it. Exits with 1 if something is wrong."""
    report = list(diagnose(deep=deep))
    if json:
        print(json_format.dumps([asdict(diagnosis) for diagnosis in report], indent=2))
    else:
        _print(report)
    return 1 if any(diagnosis.status == "wrong" for diagnosis in report) else 0


def diagnose(*, deep: bool = False) -> Iterator[Diagnosis]:
    """All diagnoses, in the order in which they are read. `deep` imports jax."""
    import levgen

    yield Diagnosis("levgen", "ok", f"{levgen.__version__} in {Path(levgen.__file__).parent}")
    yield _python()
    yield _templates()
    yield _haliax()
    yield from _requirements()
    yield _torch()
    yield _project()
    yield _disk()
    if deep:
        yield _devices()


def _python() -> Diagnosis:
    return Diagnosis("python", "ok", f"{platform.python_version()} in {sys.prefix}")


def _templates() -> Diagnosis:
    from levgen.errors import LevgenError
    from levgen.resources import templates

    try:
        return Diagnosis("templates", "ok", str(templates()))
    except LevgenError as error:
        return Diagnosis("templates", "wrong", error.message, ["pip install --force-reinstall --no-deps levgen"])


def _haliax() -> Diagnosis:
    from levgen.environment import haliax_problem, installed_version

    problem = haliax_problem()
    if problem is not None:
        return Diagnosis("haliax", "wrong", problem.message, list(problem.mend))
    return Diagnosis("haliax", "ok", f"marin-haliax {installed_version('marin-haliax')}")


def _requirements() -> Iterator[Diagnosis]:
    """The packages that levgen's metadata asks for, but haliax, which has a diagnosis of its own."""
    from packaging.specifiers import SpecifierSet

    from levgen.environment import installed_version, own_requirements

    requirements = own_requirements()
    if not requirements:
        yield Diagnosis("packages", "note", "levgen runs without being installed: its requirements aren't known")
    for name, specifier in requirements.items():
        if name == "marin-haliax":
            continue
        version = installed_version(name)
        if version is not None and SpecifierSet(specifier).contains(version, prereleases=True):
            yield Diagnosis(name, "ok", version)
        else:
            found = f"{version}; levgen needs {specifier}" if version else "not installed"
            yield Diagnosis(name, "wrong", found, [f"pip install '{name}{specifier}'"])


def _torch() -> Diagnosis:
    from levgen.environment import installed_version

    version = installed_version("torch")
    if version is None:
        return Diagnosis("torch", "note", "not installed: parity tests are skipped", ["pip install 'levgen[test]'"])
    return Diagnosis("torch", "ok", version)


def _project() -> Diagnosis:
    from levgen.errors import LevgenError
    from levgen.project import REACHABLE, UNREACHABLE, find_project
    from levgen.scaffold.journal import JOURNAL

    try:
        project = find_project(Path.cwd())
    except LevgenError as error:
        return Diagnosis("project", "wrong", error.message, [error.hint] if error.hint else [])
    if not project.exists:
        return Diagnosis("project", "note", "this folder is none yet; `levgen new-model` makes it one")
    if (project.root / JOURNAL).exists():
        return Diagnosis("project", "wrong", f"{project.root}: a write was interrupted", ["levgen new-model ... again"])
    if not project.tests_find_models:
        return Diagnosis("project", "wrong", f"{project.root}: {UNREACHABLE}", [REACHABLE])
    return Diagnosis("project", "ok", str(project.root))


def _disk() -> Diagnosis:
    free = shutil.disk_usage(Path.cwd()).free
    found = f"{free / 1024**3:.1f} GiB free here"
    if free < MINIMUM_DISK:
        return Diagnosis("disk", "note", f"{found}: checkpoints may not fit")
    return Diagnosis("disk", "ok", found)


def _devices() -> Diagnosis:
    try:
        import jax

        devices = jax.devices()
    except Exception as error:
        return Diagnosis("devices", "wrong", f"jax finds none: {error}", ["JAX_PLATFORMS=cpu levgen doctor --deep"])
    kinds = sorted({device.device_kind for device in devices})
    return Diagnosis("devices", "ok", f"{len(devices)} x {jax.default_backend()} ({', '.join(kinds)})")


def _print(report: list[Diagnosis]) -> None:
    width = max(len(diagnosis.name) for diagnosis in report)
    colour = {"ok": "32", "note": YELLOW, "wrong": RED}
    for diagnosis in report:
        mark = styled(diagnosis.status.ljust(5), colour[diagnosis.status], sys.stdout)
        print(f"{mark}  {diagnosis.name.ljust(width)}  {diagnosis.found}")
        for line in diagnosis.mend:
            print(f"{' ' * (width + 9)}{line}")
    wrong = sum(diagnosis.status == "wrong" for diagnosis in report)
    print(f"\n{wrong} of {len(report)} wrong" if wrong else "\nNothing is wrong.")
