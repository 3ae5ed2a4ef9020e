"""Which module of the model each operation of a compiled program belongs to, by the names that it carries.

`named_call` and `jax.named_scope` leave their names in the program: `jit(run)/transpose(jvp(scan(layer)))/while/body/
closed_call/rematted_computation/LlamaMlp/Linear/dot_general`. Where XLA fuses operations of several modules into one,
that one carries the name of its last.
"""

import re
from typing import NamedTuple

_INSTRUCTION = re.compile(r"^\s*(?:ROOT )?%?(?P<name>[\w.\-]+) = (?P<rest>.*)$", re.MULTILINE)
_OP_NAME = re.compile(r'metadata=\{[^}]*?op_name="([^"]*)"')
_CONTAINER = re.compile(r"(?:^|[\s)])(?:while|conditional|call)\(")
_WRAPPER = re.compile(r"(\w+)\((.*)\)")  # jvp(name), transpose(jvp(name)); but jit(name) is a function of jax
# What jax itself puts between the names.
_PLUMBING = re.compile(
    r"while|body|cond|closed_call|core_call|checkpoint|remat\w*|rematted_computation|branch_\d+_fun|pjit|"
    r"custom_[jv]vp\w*|shard_map|eval_jaxpr|layer|accum_step"
)
UNNAMED = "(no module)"


class Scope(NamedTuple):
    """A module's path, `LlamaMlp/Linear`, and which part of a training step the operation is of."""

    module: str
    phase: str  # "forward", "backward" or "recomputed"


def scopes(hlo: str) -> dict[str, Scope]:
    """The scope of each operation in the text of a compiled program, but for loops and calls, which only contain."""
    found = {}
    for match in _INSTRUCTION.finditer(hlo):
        if _CONTAINER.search(match["rest"].partition("metadata=")[0]):
            continue
        named = _OP_NAME.search(match["rest"])
        found[match["name"]] = scope_of(named[1]) if named else Scope(UNNAMED, "forward")
    return found


def scope_of(op_name: str) -> Scope:
    """The scope that an `op_name` states; its last part is the operation's own name."""
    phase = "forward"
    if "rematted_computation" in op_name:
        phase = "recomputed"
    elif "transpose(" in op_name:
        phase = "backward"
    names: list[str] = []
    for part in op_name.split("/")[1:-1]:
        while (wrapped := _WRAPPER.fullmatch(part)) is not None and wrapped[1] != "jit":
            part = wrapped[2]
        if part in names:  # what is computed again carries its path twice
            del names[names.index(part) + 1 :]
        elif part.isidentifier() and not _PLUMBING.fullmatch(part):
            names.append(part)
    return Scope("/".join(names) or UNNAMED, phase)
