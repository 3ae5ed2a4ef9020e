import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from levgen.errors import LevgenError
from levgen.training.profiling.trace import OpTime, find_trace, read_operations


def event(name: str, start: float, duration: float, *, thread: int = 1, module: str = "jit_run") -> dict[str, Any]:
    arguments = {"hlo_op": name, "hlo_module": module}
    return {"ph": "X", "pid": 1, "tid": thread, "ts": start, "dur": duration, "name": name, "args": arguments}


def write(path: Path, events: list[dict[str, Any]]) -> Path:
    with gzip.open(path, "wt") as file:
        json.dump({"traceEvents": events}, file)
    return path


def test_own_times_leave_out_what_runs_inside(tmp_path: Path) -> None:
    events = [
        event("inner", 12, 3),
        event("outer", 10, 20),
        event("innermost", 13, 1),
        event("inner", 20, 4),
        event("next", 30, 5),  # begins where `outer` ends
        event("inner", 11, 2, thread=2),  # at the same time, on another thread
        event("other program", 0, 99, module="jit_init"),
        {"ph": "M", "pid": 1, "name": "process_name", "args": {"name": "host"}},
        {"ph": "X", "pid": 1, "tid": 1, "ts": 0, "dur": 99, "name": "python"},
    ]
    assert read_operations(write(tmp_path / "a.trace.json.gz", events), "jit_run") == [
        OpTime("outer", 1, 13),
        OpTime("inner", 3, 2 + 4 + 2),
        OpTime("next", 1, 5),
        OpTime("innermost", 1, 1),
    ]


def test_finding_the_trace(tmp_path: Path) -> None:
    with pytest.raises(LevgenError, match=r"has written no \*\.trace\.json\.gz under"):
        find_trace(tmp_path)
    (tmp_path / "plugins").mkdir()
    written = write(tmp_path / "plugins" / "host.trace.json.gz", [])
    assert find_trace(tmp_path) == written
