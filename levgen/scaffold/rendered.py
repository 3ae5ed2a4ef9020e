"""What levgen wrote of a port, kept beside its record: the common ancestor when `levgen update` merges.

`.levgen/rendered/<name>.json` maps the path of each file to its lines, so that a change to it reads as one.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from levgen.errors import LevgenError


def rendered_path(name: str) -> str:
    """Where the ancestor of the model `name` is kept, relative to the project."""
    return f".levgen/rendered/{name}.json"


def render_rendered(files: Mapping[str, str]) -> str:
    """The text of the ancestor: {path: content} of the files of one port."""
    lines = {path: content.splitlines(keepends=True) for path, content in sorted(files.items())}
    return json.dumps(lines, indent=0, ensure_ascii=False) + "\n"


def read_rendered(path: Path) -> dict[str, str]:
    """{path: content} as levgen wrote them; empty where nothing was kept. Raises LevgenError for another file."""
    try:
        data: Any = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise _broken(path, str(error)) from error
    if not isinstance(data, dict) or not all(isinstance(lines, list) for lines in data.values()):
        raise _broken(path, "expected a mapping of paths to lines")
    return {str(name): "".join(map(str, lines)) for name, lines in data.items()}


def _broken(path: Path, what: str) -> LevgenError:
    return LevgenError(f"{path} can't be read: {what}", "take it back from version control, or remove it")
