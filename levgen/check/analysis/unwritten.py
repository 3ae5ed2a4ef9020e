"""Classes whose forward is still to be written: all that it does is to raise NotImplementedError."""

import ast


def unwritten_classes(tree: ast.Module) -> list[str]:
    """The names of such classes at the top of a model file, in order."""
    return [node.name for node in tree.body if isinstance(node, ast.ClassDef) and is_unwritten(node)]


def is_unwritten(node: ast.ClassDef) -> bool:
    """Whether the forward of a class (`__call__`, or `activations` of a whole model) is still to be written."""
    return any(
        isinstance(method, ast.FunctionDef) and method.name in ("__call__", "activations") and _only_raises(method)
        for method in node.body
    )


def _only_raises(method: ast.FunctionDef) -> bool:
    lines = method.body[1:] if ast.get_docstring(method) is not None else method.body
    match lines:
        case [ast.Raise(exc=ast.Name(id="NotImplementedError") | ast.Call(func=ast.Name(id="NotImplementedError")))]:
            return True
    return False
