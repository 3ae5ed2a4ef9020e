"""Who notices a seeded fault: the project's own tests of the model, run in this process against the edited source."""

import contextlib
import io
import os
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from levgen.errors import LevgenError
from levgen.prove.subject import Files, run_source

_SAME_KIND = 20  # how much more a fault of the same kind tells than one of another


@dataclass(frozen=True)
class Verdict:
    """`test`: the first test that failed, None where none did. `why`: what it said, in a line."""

    test: str | None
    why: str = ""


@dataclass
class _Record:
    """How long each test takes and what it has noticed: those that will notice soonest run first.

    noticed: kind of fault -> test -> how often.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    noticed: dict[str, Counter[str]] = field(default_factory=dict)

    def rank(self, name: str, kind: str) -> float:
        """The test's seconds, divided by how likely it is to notice: faults of the same kind tell most."""
        ever = sum(found[name] for found in self.noticed.values())
        return self.seconds.get(name, 0.0) / (1 + ever + _SAME_KIND * self.noticed.get(kind, Counter())[name])


class _Plugin:
    """Told by pytest what happens."""

    def __init__(self, record: _Record, kind: str | None) -> None:
        self._record = record
        self._kind = kind
        self.failed: Verdict | None = None
        self.passed = 0
        self.skipped: list[str] = []

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        kind = self._kind
        if kind is not None:
            items.sort(key=lambda item: self._record.rank(item.name, kind))

    def pytest_collectreport(self, report: Any) -> None:
        if report.failed:
            self.failed = Verdict("import of the tests", _last_line(report.longreprtext))

    def pytest_runtest_logreport(self, report: Any) -> None:
        name = report.nodeid.rpartition("::")[2]
        self._record.seconds[name] = max(self._record.seconds.get(name, 0.0), report.duration)
        if report.failed and self.failed is None:
            self.failed = Verdict(name, _last_line(report.longreprtext))
        elif report.skipped:
            self.skipped.append(name)
        elif report.when == "call":
            self.passed += 1


class Suite:
    """The tests of a model. Raises LevgenError where they don't pass as they are: they'd fail for any edit."""

    def __init__(self, files: Files, source: str) -> None:
        self._files = files
        self._record = _Record()
        plugin = self._run(source, None)
        if plugin.failed is not None:
            raise LevgenError(
                f"{files.shown(files.tests)} doesn't pass without any fault: {plugin.failed.test}: {plugin.failed.why}",
                "mend that first: what fails anyway notices nothing",
            )
        self.count = plugin.passed

    def verdict(self, source: str, kind: str) -> Verdict:
        """Runs the tests against `source`, which has a fault of that kind, until one fails."""
        plugin = self._run(source, kind)
        verdict = plugin.failed or Verdict(None)
        if verdict.test is not None:
            self._record.noticed.setdefault(kind, Counter())[verdict.test] += 1
        return verdict

    def _run(self, source: str, kind: str | None) -> _Plugin:
        import pytest

        plugin = _Plugin(self._record, kind)
        files = self._files
        arguments = [
            str(files.tests),
            f"--rootdir={files.project.root}",
            f"--config-file={files.project.root / 'pyproject.toml'}",
            "-x",
            "-q",
            "-s",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:faulthandler",
            "-p",
            "no:unraisableexception",  # it collects garbage five times a run, which takes as long as the tests do
            "--assert=plain",  # rewriting wants to be there before what it rewrites, and is not needed
            "--override-ini=addopts=",
        ]
        with _as_model(files, source) as error, _muted():
            if error is not None:
                plugin.failed = Verdict("import of the model", f"{type(error).__name__}: {error}"[:200])
            else:
                code = pytest.main(arguments, plugins=[plugin])
                if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED) and plugin.failed is None:
                    plugin.failed = Verdict("pytest", f"stopped with {pytest.ExitCode(code).name}")
        return plugin


@contextlib.contextmanager
def _as_model(files: Files, source: str) -> Iterator[Exception | None]:
    """While it lasts, `source` is what tests import as the model. Gives what running it raised, or None."""
    from levgen.runtime import LmConfig

    before = {name: sys.modules.get(name) for name in (files.module_name, files.tests.stem)}
    registered = dict(LmConfig.get_known_choices())
    environment = dict(os.environ)
    sys.modules.pop(files.tests.stem, None)
    error: Exception | None = None
    try:
        run_source(files, source)
    except Exception as raised:
        error = raised
    try:
        yield error
    finally:
        # A conftest sets variables for a process of its own.
        os.environ.clear()
        os.environ.update(environment)
        LmConfig._choice_registry.clear()
        LmConfig._choice_registry.update(registered)
        for name, module in before.items():
            if module is None:
                sys.modules.pop(name, None)
            else:
                sys.modules[name] = module


@contextlib.contextmanager
def _muted() -> Iterator[None]:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


def _last_line(text: str) -> str:
    """What a failure says: the line of the error, without pytest's marks."""
    said = [line[2:].strip() for line in text.splitlines() if line.startswith("E ")]
    return (said or text.strip().splitlines() or [""])[0][:200]
