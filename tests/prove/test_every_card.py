"""Every card, as a user proves it: `levgen new-model TYPE`, then `levgen prove TYPE`. It takes hours.

One of them: pytest -m exhaustive tests/prove/test_every_card.py -k "opt and ladder"
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from levgen.architecture.catalogue import known_types


def proven(model: str, folder: Path, *options: str) -> dict[str, dict[str, Any]]:
    """The rungs that the command reports, by name."""
    # Not this process's: the command asks for devices and switches of its own.
    environment = {name: value for name, value in os.environ.items() if name not in ("XLA_FLAGS", "JAX_PLATFORMS")}

    def levgen(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "levgen", *arguments, "--dest", str(folder)]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    written = levgen("new-model", model, "--defaults")
    assert written.returncode == 0, written.stderr
    done = levgen("prove", model, "--json", *options)
    assert done.stdout, done.stderr
    return {rung["name"]: rung for rung in json.loads(done.stdout)["rungs"]}


@pytest.mark.exhaustive
@pytest.mark.parametrize("model", known_types())
def test_the_ladder_is_climbed(model: str, tmp_path: Path) -> None:
    rungs = proven(model, tmp_path)
    assert {name: rung for name, rung in rungs.items() if rung["status"] == "failed"} == {}
    assert {name for name, rung in rungs.items() if rung["status"] == "skipped"} == {"checkpoint"}


@pytest.mark.exhaustive
@pytest.mark.parametrize("model", known_types())
def test_every_fault_that_changes_the_function_is_noticed(model: str, tmp_path: Path) -> None:
    found = proven(model, tmp_path, "--mutate")["mutations"]
    assert found["status"] == "passed", "\n".join([found["figure"], *found["details"]])
