"""What all tests share: two CPU devices, no network, and warnings as errors (see pyproject.toml).

The environment is set before jax, torch and transformers are imported, which read it once.
"""

import os
from collections.abc import Iterator

import pytest

# Parity is stated for fp32 on a CPU; two devices let the tests shard.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_NUM_CPU_DEVICES", "2")
# Most of a test's time is compilation: code that XLA leaves unoptimised is there three times sooner.
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_backend_optimization_level=0".strip()
# The references are built from random weights: nothing is fetched.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_OFFLINE", "1")
# jax and torch each start a thread a core and get in each other's way.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="module", autouse=True)
def _compiled_for_this_file() -> Iterator[None]:
    """What a file compiled goes with its last test: of many models it would be more than a process may map."""
    yield
    import jax

    jax.clear_caches()
