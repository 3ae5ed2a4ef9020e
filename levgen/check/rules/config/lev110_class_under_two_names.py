"""One class is registered under two names, and its instances don't know which.

Why: What is written is the first name, whichever was read: linear rope scaling is saved as `default`, and what reads
that file leaves out the scaling.

Bad:
```python models/example.py
import abc
from dataclasses import dataclass

import draccus


@dataclass(frozen=True)
class RopeConfig(abc.ABC, draccus.ChoiceRegistry):
    theta: float = 10000.0


@dataclass(frozen=True)
class DefaultRopeConfig(RopeConfig):
    factor: float = 1.0


RopeConfig.register_subclass("default", DefaultRopeConfig)
RopeConfig.register_subclass("linear", DefaultRopeConfig)
```

Good:
```python models/example.py
import abc
from dataclasses import dataclass

import draccus


@dataclass(frozen=True)
class RopeConfig(abc.ABC, draccus.ChoiceRegistry):
    theta: float = 10000.0


@RopeConfig.register_subclass("default")
@dataclass(frozen=True)
class DefaultRopeConfig(RopeConfig):
    pass


@RopeConfig.register_subclass("linear")
@dataclass(frozen=True)
class LinearRopeConfig(RopeConfig):
    factor: float = 1.0
```

Fix: Give each name a class of its own, or keep the kind in a field that is written too.
"""

import ast
from collections.abc import Iterator

from levgen.check.files.names import constant, dotted
from levgen.check.files.python_file import PythonFile
from levgen.check.rule import Problem, python_rule

_REGISTER = ".register_subclass"


@python_rule
def check(file: PythonFile) -> Iterator[Problem]:
    first: dict[tuple[str, str], str] = {}
    for registry, name, registered, call in _registrations(file):
        before = first.setdefault((registry, registered), name)
        if before != name:
            yield Problem(call, f"`{registered}` is {before!r} and {name!r}: it is written as {before!r} always")


def _registrations(file: PythonFile) -> Iterator[tuple[str, str, str, ast.Call]]:
    """(registry, name, class, the call) of each `Registry.register_subclass("name")`, as a decorator or a call."""
    for one in file.nodes.of(ast.ClassDef):
        for decorator in reversed(one.decorator_list):  # the last is applied first
            if isinstance(decorator, ast.Call):
                yield from _registration(decorator, one.name)
    for call in file.nodes.of(ast.Call):
        if len(call.args) == 2:
            yield from _registration(call, dotted(call.args[1]))


def _registration(call: ast.Call, registered: str) -> Iterator[tuple[str, str, str, ast.Call]]:
    function = dotted(call.func)
    name = constant(call.args[0]) if call.args else None
    if function.endswith(_REGISTER) and isinstance(name, str) and registered:
        yield function.removesuffix(_REGISTER), name, registered, call
