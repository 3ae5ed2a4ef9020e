"""The files of a new project around its first model, rendered with copier."""

import re
import tempfile
from pathlib import Path

import levgen
from levgen.errors import LevgenError
from levgen.project import Project, find_project
from levgen.resources import templates
from levgen.scaffold.files import PlannedFile

__all__ = ["Project", "find_project", "project_files", "project_name"]

_BINARY = "\0"


def project_files(root: Path) -> list[PlannedFile]:
    """The files of a project at `root`: the copier template's, and under `data/` the text and tokenizer to train on.

    Renders into a temporary folder; nothing is written to `root`. Raises LevgenError where copier refuses.
    """
    return [*_rendered(project_name(root)), *_shipped_data()]


def project_name(root: Path) -> str:
    """The folder's name as a distribution's name: `My Ports!` -> `my-ports`."""
    name = re.sub(r"[^a-z0-9]+", "-", root.absolute().name.lower()).strip("-")
    return name or "ports"


def _rendered(name: str) -> list[PlannedFile]:
    # Imported here: copier takes longer to import than everything else that writing a model does.
    import copier
    from copier.errors import CopierError

    with tempfile.TemporaryDirectory(prefix="levgen-") as scratch:
        try:
            copier.run_copy(
                str(templates() / "project"),
                scratch,
                data={"project_name": name, "levgen_version": levgen.__version__},
                defaults=True,
                quiet=True,
                overwrite=True,
            )
        except CopierError as error:
            raise LevgenError(f"the project around the model can't be rendered: {error}") from error
        return _read_folder(Path(scratch), "")


def _shipped_data() -> list[PlannedFile]:
    """What levgen ships to train on without a network: the small text and its tokenizer."""
    return _read_folder(Path(levgen.__file__).parent / "training" / "data", "data/")


def _read_folder(folder: Path, prefix: str) -> list[PlannedFile]:
    """The text files under `folder`, sorted; not Python's own (`*.py`, `__pycache__`) where they are only shipped."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    if prefix:
        paths = [path for path in paths if path.suffix not in (".py", ".pyc")]
    return [
        PlannedFile(prefix + path.relative_to(folder).as_posix(), path.read_text(encoding="utf-8")) for path in paths
    ]
