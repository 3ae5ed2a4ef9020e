"""What all tests share: two CPU devices, no network, and a suite that is quick unless `-m slow` asks otherwise.

The environment is set before jax, torch and transformers are imported, which read it once.
"""

import os
import re

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


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--share",
        metavar="I/N",
        help="of the cases of a slow test every N-th one, from the I-th on; tests of one case always run",
    )


def pytest_configure(config: pytest.Config) -> None:
    from hypothesis import settings

    # Compilation makes the first example slow. CI tries the same examples every time.
    settings.register_profile("levgen", deadline=None, derandomize=bool(os.environ.get("CI")))
    settings.load_profile("levgen")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Without `-m`, slow and exhaustive tests are left out, unless they are named."""
    left_out: list[pytest.Item] = []
    if config.option.share:
        left_out = _not_of_share(config.option.share, items)
    elif not config.option.markexpr and not any("::" in arg for arg in config.args):
        left_out = [item for item in items if _is_long(item)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        gone = set(left_out)
        items[:] = [item for item in items if item not in gone]


def _is_long(item: pytest.Item) -> bool:
    return any(item.get_closest_marker(name) for name in ("slow", "exhaustive"))


def _not_of_share(share: str, items: list[pytest.Item]) -> list[pytest.Item]:
    """What a share, "2/3" say, leaves out of the cases of slow and exhaustive tests."""
    match = re.fullmatch(r"(\d+)/(\d+)", share)
    if not match or not 1 <= int(match[1]) <= int(match[2]):
        raise pytest.UsageError(f"--share: expected I/N with I from 1 to N, got {share!r}")
    first, count = int(match[1]) - 1, int(match[2])
    cases: dict[str, list[pytest.Item]] = {}
    for item in items:
        if _is_long(item):
            cases.setdefault(item.nodeid.partition("[")[0], []).append(item)
    return [
        item for of_test in cases.values() if len(of_test) > 1 for item in of_test if item not in of_test[first::count]
    ]
