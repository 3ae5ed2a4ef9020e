"""How much memory something takes at its peak, beside what the process had before."""

import re
from collections.abc import Callable
from pathlib import Path

STATUS = Path("/proc/self/status")


def available() -> bool:
    """Whether this system says so, and lets the peak start anew (Linux)."""
    return STATUS.is_file() and Path("/proc/self/clear_refs").exists()


def added_peak(run: Callable[[], object]) -> int:
    """Bytes of resident memory that `run` adds at most; what it returns is kept until then."""
    before = _kilobytes("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak is what there is now
    kept = run()
    peak = _kilobytes("VmHWM")
    del kept
    return (peak - before) * 1024


def _kilobytes(field: str) -> int:
    found = re.search(rf"^{field}:\s+(\d+) kB", STATUS.read_text(encoding="ascii"), re.MULTILINE)
    if found is None:
        raise RuntimeError(f"{STATUS} has no {field}")
    return int(found[1])
