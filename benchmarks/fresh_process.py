"""Calling a function in a process of its own: for what a process does once, such as its peak of memory."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

REPO = Path(__file__).parents[1]
_SOURCE = """
import importlib, json, sys
module, name, arguments = sys.argv[1:]
print("RESULT" + json.dumps(getattr(importlib.import_module(module), name)(*json.loads(arguments))))
"""


def call(module: str, function: str, *arguments: Any, devices: int = 1) -> Any:
    """The function's result, which like the arguments is JSON; there are as many (simulated) devices.

    Raises RuntimeError where the process fails.
    """
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(REPO), os.environ.get("PYTHONPATH", "")]),
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
    }
    environment.pop("JAX_NUM_CPU_DEVICES", None)
    command = [sys.executable, "-c", _SOURCE, module, function, json.dumps(arguments)]
    done = subprocess.run(command, env=environment, cwd=REPO, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{module}.{function}{arguments} failed:\n{done.stdout}{done.stderr}")
    return json.loads(done.stdout.rpartition("RESULT")[2])
