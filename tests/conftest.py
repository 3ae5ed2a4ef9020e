"""What all tests share: two CPU devices, no network, and a suite that is quick unless `-m slow` asks otherwise.

The environment is set before jax, torch and transformers are imported, which read it once.
"""

import os

import pytest

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_NUM_CPU_DEVICES", "2")
# Most of a test's time is compilation: code that XLA leaves unoptimised is there three times sooner.
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_backend_optimization_level=0".strip()
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
# What the command line prints is compared word for word.
os.environ.pop("FORCE_COLOR", None)
os.environ["NO_COLOR"] = "1"


def pytest_configure(config: pytest.Config) -> None:
    from hypothesis import settings

    # Compilation makes the first example slow. CI tries the same examples every time.
    settings.register_profile("levgen", deadline=None, derandomize=bool(os.environ.get("CI")))
    settings.load_profile("levgen")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without `-m`, slow and exhaustive tests are left out, unless they are named."""
    if config.option.markexpr or any("::" in arg for arg in config.args):
        return
    long = [item for item in items if any(item.get_closest_marker(name) for name in ("slow", "exhaustive"))]
    if long:
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]
