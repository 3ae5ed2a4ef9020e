"""The rendered files, to the letter. `LEVGEN_UPDATE_GOLDEN=1 pytest tests/ports/test_golden.py` writes them anew."""

import os
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parents[1] / "golden"
FILES = [
    *(f"models/{name}.py" for name in ("llama", "gpt2")),
    *(f"tests/test_{name}.py" for name in ("llama", "gpt2")),
    *(f"config/{name}{kind}.yaml" for name in ("llama", "gpt2") for kind in ("", "_nano")),
    ".levgen/llama.yaml",
]


@pytest.mark.parametrize("path", FILES)
def test_rendered_file_is_golden(project: Path, path: str) -> None:
    rendered = (project / path).read_text()
    # `.txt`: neither pytest nor ruff may take them for files of this project.
    golden = GOLDEN / f"{path.lstrip('.')}.txt"
    if os.environ.get("LEVGEN_UPDATE_GOLDEN"):
        golden.parent.mkdir(parents=True, exist_ok=True)
        golden.write_text(rendered)
    assert rendered == golden.read_text()
