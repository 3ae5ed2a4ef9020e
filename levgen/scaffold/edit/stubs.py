"""Stubs: classes that new-model left to be written, and what filling one would lose."""

import io
import tokenize

import libcst as cst
from libcst.helpers import get_full_name_for_node

from levgen.scaffold.edit.source import PythonSource

_TO_BE_WRITTEN = "To be written."


def is_stub(node: cst.CSTNode | None) -> bool:
    """Whether `node` is a class all of whose methods do nothing but raise NotImplementedError."""
    methods = _methods(node)
    return bool(methods) and all(map(_is_unwritten, methods.values()))


def losses(source: PythonSource, stub: cst.ClassDef, filling: str) -> list[str]:
    """What `stub` has that the class `filling` hasn't, in words; nothing for a stub as it was generated."""
    other = PythonSource(filling, "a rendered class")
    new = cst.ensure_type(other.module.body[0], cst.ClassDef)
    lost = [f"the decorator {source.code(decorator)}" for decorator in stub.decorators]
    if [source.code(base.value) for base in stub.bases] != [other.code(base.value) for base in new.bases]:
        lost.append(f"its bases {', '.join(source.code(base.value) for base in stub.bases) or '(none)'}")
    docstring = stub.get_docstring() or ""
    if not docstring.endswith(_TO_BE_WRITTEN) and docstring != new.get_docstring():
        lost.append("its docstring")
    ours = _methods(new)
    for name, method in _methods(stub).items():
        if name not in ours:
            lost.append(f"the method {name}")
        elif _parameters(method) != _parameters(ours[name]):
            lost.append(
                f"the signature {name}({', '.join(_parameters(method))}), now ({', '.join(_parameters(ours[name]))})"
            )
    known = {"config", *_fields(new)}
    lost += [f"the field {name}" for name in _fields(stub) if name not in known]
    lost += [f"the line {source.code(line)}" for line in _other_lines(stub)]
    kept = _comments(filling)
    lost += [f"the comment {comment}" for comment in _comments(source.code(stub)) if comment not in kept]
    return lost


def _methods(node: cst.CSTNode | None) -> dict[str, cst.FunctionDef]:
    if not isinstance(node, cst.ClassDef):
        return {}
    return {line.name.value: line for line in node.body.body if isinstance(line, cst.FunctionDef)}


def _is_unwritten(method: cst.FunctionDef) -> bool:
    lines = list(method.body.body)
    if method.get_docstring() is not None:
        lines = lines[1:]
    if len(lines) != 1:
        return False
    small = lines[0].body[0] if isinstance(lines[0], cst.SimpleStatementLine) else lines[0]
    if not isinstance(small, cst.Raise) or small.exc is None:
        return False
    raised = small.exc.func if isinstance(small.exc, cst.Call) else small.exc
    return get_full_name_for_node(raised) == "NotImplementedError"


def _parameters(method: cst.FunctionDef) -> list[str]:
    parameters = method.params
    positional = [param.name.value for param in (*parameters.posonly_params, *parameters.params)]
    star = parameters.star_arg
    if isinstance(star, cst.Param):
        positional.append(f"*{star.name.value}")
    elif parameters.kwonly_params:
        positional.append("*")
    keywords = [param.name.value for param in parameters.kwonly_params]
    return positional + keywords + ([] if parameters.star_kwarg is None else [f"**{parameters.star_kwarg.name.value}"])


def _fields(node: cst.ClassDef) -> list[str]:
    return [
        small.target.value
        for line in node.body.body
        if isinstance(line, cst.SimpleStatementLine)
        for small in line.body
        if isinstance(small, cst.AnnAssign) and isinstance(small.target, cst.Name)
    ]


def _other_lines(node: cst.ClassDef) -> list[cst.CSTNode]:
    """The statements of a class that are neither fields, methods nor its docstring."""
    lines = list(node.body.body)
    if node.get_docstring() is not None:
        lines = lines[1:]
    return [
        line
        for line in lines
        if not isinstance(line, cst.FunctionDef)
        and not (isinstance(line, cst.SimpleStatementLine) and all(isinstance(s, cst.AnnAssign) for s in line.body))
    ]


def _comments(code: str) -> list[str]:
    tokens = tokenize.generate_tokens(io.StringIO(code).readline)
    return [token.string for token in tokens if token.type == tokenize.COMMENT]
