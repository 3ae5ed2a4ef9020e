"""Finds the rules by the names of their files: every `lev*.py` below `levgen.check.rules.<family>`."""

import functools
import re
from collections.abc import Iterable
from pathlib import Path

from levgen.check.rule import Rule, Scope
from levgen.errors import LevgenError, did_you_mean

_MODULE_NAME = re.compile(r"lev(\d{3})_([a-z0-9_]+)")
_RULES = Path(__file__).parent / "rules"


# What the rules of a family may read, so that a run imports only the families that it needs.
SCOPES = {
    "meta": frozenset({Scope.RUNNER}),
    "config": frozenset({Scope.PYTHON, Scope.MODEL}),
    "modules": frozenset({Scope.ANY_PYTHON, Scope.PYTHON, Scope.MODEL}),
    "tests": frozenset({Scope.TEST, Scope.MODEL}),
    "hf_maps": frozenset({Scope.MODEL}),
    "yaml": frozenset({Scope.YAML, Scope.RUNNER}),
    "project": frozenset({Scope.PROJECT}),
}


def _rule(module_file: Path) -> Rule:
    match = _MODULE_NAME.fullmatch(module_file.stem)
    if match is None or module_file.parent.name not in SCOPES:
        raise ImportError(f"{module_file}: a rule is <family>/lev<3 digits>_<name of the bad pattern>.py")
    module = f"levgen.check.rules.{module_file.parent.name}.{module_file.stem}"
    return Rule(f"LEV{match[1]}", match[2].replace("_", "-"), module)


@functools.cache
def all_rules() -> dict[str, Rule]:
    """Every rule by its code, in the order of the codes."""
    found = [_rule(path) for path in sorted(_RULES.glob("*/lev*.py"), key=lambda path: path.stem)]
    rules = {rule.code: rule for rule in found}
    if len(rules) != len(found):
        codes = [rule.code for rule in found]
        raise ImportError(f"two rules share a code: {sorted({code for code in codes if codes.count(code) > 1})}")
    return rules


@functools.cache
def rules_of(scope: Scope) -> tuple[Rule, ...]:
    """The rules that read this kind of file.

    Raises:
        ImportError: a rule reads what its family does not.
    """
    found = [rule for rule in all_rules().values() if scope in SCOPES[rule.family]]
    for rule in found:
        if rule.check.scope not in SCOPES[rule.family]:
            raise ImportError(f"{rule.module}: rules of this family read {SCOPES[rule.family]}")
    return tuple(rule for rule in found if rule.check.scope is scope)


def find_rule(code: str) -> Rule:
    """The rule of a code (`LEV101`, in any case) or of a name (`unread-config-field`).

    Raises:
        LevgenError: no rule has it; the nearest are named.
    """
    rules = all_rules()
    wanted = code.strip()
    for rule in rules.values():
        if wanted.upper() == rule.code or wanted.lower() == rule.name:
            return rule
    known = [*rules, *(rule.name for rule in rules.values())]
    raise LevgenError(f"there is no rule {code!r}", did_you_mean(wanted, known) or "`levgen rule --all` lists them")


def expand(selectors: Iterable[str]) -> set[str]:
    """The codes that selectors mean: a code, a prefix of codes (`LEV1`, `LEV`), or a rule's name.

    Raises:
        LevgenError: a selector that means no rule.
    """
    codes: set[str] = set()
    for selector in selectors:
        prefix = selector.strip().upper()
        matching = {code for code in all_rules() if code.startswith(prefix)} if prefix.startswith("LEV") else set()
        codes |= matching or {find_rule(selector).code}
    return codes
