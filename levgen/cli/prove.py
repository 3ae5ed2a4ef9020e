"""`levgen prove`: climbs the ladder of proofs. Exit 0 passed, 1 a rung failed, 2 a mistake in the call."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

DEVICES = 8


def prove(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="The model's name: its file is models/MODEL.py.")],
    dest: Annotated[Path, typer.Option(metavar="DIR", help="The project's folder.")] = Path(),
    rung: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only this rung, and those it needs; may be repeated.")
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Compare on real weights too: config.json and safetensors.")
    ] = None,
    mutate: Annotated[bool, typer.Option("--mutate", help="Seed faults; the project's tests must catch each.")] = False,
    verify: Annotated[bool, typer.Option("--verify", help="Run only what the record doesn't vouch for.")] = False,
    report: Annotated[Path | None, typer.Option(metavar="FILE.html", help="Write all of it as one page.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Report as JSON.")] = False,
) -> int:
    """Prove that a model computes what its reference in transformers computes, and show where if it doesn't."""
    from levgen.prove.ladder import chosen
    from levgen.prove.subject import find_files

    files = find_files(model, dest)
    rungs = chosen(rung or [])
    if checkpoint is not None and not checkpoint.is_dir():
        from levgen.errors import LevgenError

        raise LevgenError(f"--checkpoint {checkpoint}: expected a folder with a config.json and safetensors")
    _set_environment()
    from levgen.prove.run import Request, run

    request = Request(files, rungs, checkpoint=checkpoint, mutate=mutate, verify=verify, report=report, json=json)
    return run(request)


def _set_environment() -> None:
    """What jax, torch and transformers read once, when they are imported. What the caller has set stays."""
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    # jax and torch each start a thread a core and get in each other's way.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if "jax" in sys.modules:
        return
    flags = os.environ.get("XLA_FLAGS", "")
    if "xla_force_host_platform_device_count" not in flags:
        flags += f" --xla_force_host_platform_device_count={DEVICES}"
    if "xla_backend_optimization_level" not in flags:
        # Most of the time is compilation: code that XLA leaves unoptimised is there three times sooner.
        flags += " --xla_backend_optimization_level=0"
    os.environ["XLA_FLAGS"] = flags.strip()
