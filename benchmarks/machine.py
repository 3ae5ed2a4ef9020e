"""The machine that the numbers come from."""

import datetime
import importlib.metadata
import os
import platform
from pathlib import Path

PACKAGES = ("jax", "marin-haliax", "optax", "torch", "transformers", "typer", "copier")


def describe() -> str:
    """Two lines: date, processor, cores and load; Python and the versions of the packages that take part."""
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    hardware = f"{datetime.date.today()}: {_processor()}, {_cores()}{load}"
    return f"{hardware}\nPython {platform.python_version()}, {', '.join(_versions())}"


def _cores() -> str:
    """How many this process may use: `taskset` and containers give it fewer than there are."""
    total = os.cpu_count() or 1
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else total
    return f"{total} cores" if usable == total else f"{usable} of {total} cores"


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.is_file() else []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, platform.processor() or platform.machine())


def _versions() -> list[str]:
    versions = []
    for package in PACKAGES:
        try:
            versions.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            versions.append(f"no {package}")
    return versions
