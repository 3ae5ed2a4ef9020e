"""Which names of a function hold named arrays, as far as its annotations and haliax's own calls say."""

import ast

from levgen.check.files.classes import Function
from levgen.check.files.names import last_name, names_in_target
from levgen.check.files.python_file import PythonFile

_ARRAYS = frozenset(
    f"haliax.{name}"
    for name in ("arange", "concatenate", "dot", "einsum", "exp", "full", "mean", "named", "ones", "rearrange", "sqrt")
) | frozenset(f"haliax.{name}" for name in ("sum", "tanh", "where", "zeros", "zeros_like", "ones_like", "stack"))


def _says_named_array(annotation: ast.expr | None) -> bool:
    if annotation is None:
        return False
    if isinstance(annotation, ast.BinOp):  # `NamedArray | None`
        sides = (annotation.left, annotation.right)
        return any(map(_says_named_array, sides)) and any(isinstance(one, ast.Constant) for one in sides)
    if isinstance(annotation, ast.Subscript):
        return last_name(annotation.value) == "Optional" and _says_named_array(annotation.slice)
    return last_name(annotation) == "NamedArray"


def named_parameters(function: Function) -> set[str]:
    """Parameters annotated as NamedArray, or as an optional one."""
    arguments = function.args
    return {
        one.arg
        for one in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        if _says_named_array(one.annotation)
    }


def named_arrays(file: PythonFile, function: Function) -> set[str]:
    """Parameters that are named arrays, and variables that only ever hold results of haliax's array functions."""
    found = named_parameters(function)
    assigned: dict[str, list[ast.expr]] = {}
    for node in file.nodes.within(function, ast.Assign):
        for target in node.targets:
            if isinstance(target, ast.Name):
                assigned.setdefault(target.id, []).append(node.value)
            else:
                found -= set(names_in_target(target))
    for name, values in assigned.items():
        if all(isinstance(value, ast.Call) and file.qualified(value.func) in _ARRAYS for value in values):
            found.add(name)
        elif name in found and any(isinstance(value, ast.Attribute) and value.attr == "array" for value in values):
            found.discard(name)
    return found
