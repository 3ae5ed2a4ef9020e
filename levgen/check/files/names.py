"""Small questions about expressions."""

import ast
from collections.abc import Iterator


def dotted(node: ast.AST | None) -> str:
    """`a.b.c` of a chain of names; subscripts are looked through (`Base[T]` is `Base`); "" for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    parts: list[str] = []
    while True:
        if isinstance(node, ast.Subscript):
            node = node.value
        elif isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        elif isinstance(node, ast.Name):
            parts.append(node.id)
            return ".".join(reversed(parts))
        else:
            return ""


def last_name(node: ast.AST | None) -> str:
    """The last part of `dotted`; of a string annotation (`"Llama"`) the string."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value.rpartition(".")[2]
    return dotted(node).rpartition(".")[2]


def called(call: ast.AST) -> str:
    """`a.b` for a call `a.b(...)`. A method of a call, such as `f(x).g()`, gives `g`."""
    if not isinstance(call, ast.Call):
        return ""
    name = dotted(call.func)
    if not name and isinstance(call.func, ast.Attribute):
        return call.func.attr
    return name


def keyword(call: ast.Call, name: str) -> ast.expr | None:
    """The value of a keyword argument."""
    return next((one.value for one in call.keywords if one.arg == name), None)


def has_spread(call: ast.Call) -> bool:
    """Whether `**kwargs` may bring keywords that the source does not show."""
    return any(one.arg is None for one in call.keywords)


def constant(node: ast.AST | None) -> object:
    """A literal's value (`-1e9` included), or None."""
    if isinstance(node, ast.Constant):
        value: object = node.value
        return value
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        inner = constant(node.operand)
        if isinstance(inner, int | float) and not isinstance(inner, bool):
            return -inner
    return None


def string_pairs(node: ast.AST | None) -> Iterator[tuple[ast.Constant, ast.expr]]:
    """Key and value of a dict display whose keys are strings."""
    if isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                yield key, value


def names_in_target(target: ast.AST) -> Iterator[str]:
    """The names that an assignment's target binds."""
    if isinstance(target, ast.Name):
        yield target.id
    elif isinstance(target, ast.Starred):
        yield from names_in_target(target.value)
    elif isinstance(target, ast.Tuple | ast.List):
        for item in target.elts:
            yield from names_in_target(item)
