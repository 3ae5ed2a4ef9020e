"""The installation that levgen runs in: which packages are there and what is wrong with them. Imports none of them."""

import importlib.metadata
from dataclasses import dataclass

from levgen.errors import LevgenError


def installed_version(distribution: str) -> str | None:
    """The installed version of a distribution, or None."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


@dataclass(frozen=True)
class HaliaxProblem:
    """What is wrong with the installed haliax, and the commands that mend it."""

    message: str
    mend: tuple[str, ...]


def haliax_problem() -> HaliaxProblem | None:
    """Whether the module `haliax` comes from `marin-haliax` alone, by the metadata of what is installed.

    The package `haliax` is the dead predecessor of `marin-haliax`. Both write the folder `haliax`, so that with both
    installed each has overwritten files of the other, and removing one removes files of the other.
    """
    dead, live = installed_version("haliax"), installed_version("marin-haliax")
    version = f"=={live}" if live else own_requirements().get("marin-haliax", "")
    requirement = f"marin-haliax{version}"
    install = f"pip install --force-reinstall --no-deps '{requirement}'"
    if dead is not None:
        beside = f" beside marin-haliax {live}, and both write the folder `haliax`" if live else ""
        uninstall = "pip uninstall -y haliax marin-haliax" if live else "pip uninstall -y haliax"
        return HaliaxProblem(
            f"the dead package haliax {dead} is installed{beside}; levgen needs marin-haliax", (uninstall, install)
        )
    if live is None:
        return HaliaxProblem("marin-haliax is not installed", (f"pip install '{requirement}'",))
    return None


def check_haliax() -> None:
    """Raises LevgenError where `import haliax` would get another package than marin-haliax, with what mends it."""
    problem = haliax_problem()
    if problem is not None:
        raise LevgenError(problem.message, "mend it with:\n" + "\n".join(f"  {line}" for line in problem.mend))


def own_requirements() -> dict[str, str]:
    """levgen's requirements on this Python, extras apart: name -> specifier. Empty where levgen isn't installed."""
    from packaging.requirements import Requirement

    try:
        requirements = [Requirement(line) for line in importlib.metadata.requires("levgen") or []]
    except importlib.metadata.PackageNotFoundError:
        return {}
    return {
        requirement.name: str(requirement.specifier)
        for requirement in requirements
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""})
    }
