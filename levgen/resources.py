"""Where the templates are: in the package when installed from a wheel, beside it in a checkout."""

from functools import cache
from pathlib import Path

from levgen.errors import LevgenError


@cache
def templates() -> Path:
    """The folder of templates: `model`, `parts`, `project` and `architectures` are in it.

    Raises LevgenError where this installation has none.
    """
    package = Path(__file__).resolve().parent
    candidates = [package / "templates", package.parent / "templates"]
    for folder in candidates:
        if (folder / "project" / "copier.yml").is_file():
            return folder
    raise LevgenError(
        f"this installation of levgen has no templates: looked in {' and '.join(map(str, candidates))}",
        "install it again from a wheel, or with `pip install -e .` in a clone",
    )
