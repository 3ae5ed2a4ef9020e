"""What stands in the body of a config class: fields, axes, and the table of HF fields."""

import libcst as cst
from libcst.helpers import get_full_name_for_node


def bound_names(statement: cst.CSTNode) -> list[str]:
    """The names that a statement of a class body binds."""
    if isinstance(statement, cst.FunctionDef | cst.ClassDef):
        return [statement.name.value]
    names = []
    if isinstance(statement, cst.SimpleStatementLine):
        for small in statement.body:
            if isinstance(small, cst.AnnAssign):
                names.append(small.target)
            elif isinstance(small, cst.Assign):
                names += [target.target for target in small.targets]
    return [name.value for name in names if isinstance(name, cst.Name)]


def is_field(statement: cst.CSTNode) -> bool:
    """Whether a statement declares a field of a dataclass."""
    return isinstance(statement, cst.SimpleStatementLine) and any(
        isinstance(small, cst.AnnAssign) and isinstance(small.target, cst.Name) and not _is_class_var(small.annotation)
        for small in statement.body
    )


def is_axis(statement: cst.CSTNode) -> bool:
    """Whether a statement is a property that makes an axis: `X = property(lambda self: ...)`, or a `def`."""
    made: cst.BaseExpression | None = None
    if isinstance(statement, cst.SimpleStatementLine) and isinstance(statement.body[0], cst.Assign):
        call = statement.body[0].value
        if isinstance(call, cst.Call) and get_full_name_for_node(call.func) == "property" and call.args:
            function = call.args[0].value
            made = function.body if isinstance(function, cst.Lambda) else None
    elif isinstance(statement, cst.FunctionDef):
        last = statement.body.body[-1]
        small = last.body[0] if isinstance(last, cst.SimpleStatementLine) else last
        if _is_property(statement) and isinstance(small, cst.Return):
            made = small.value
    called = (get_full_name_for_node(made.func) or "") if isinstance(made, cst.Call) else ""
    return called.rpartition(".")[2] in ("Axis", "alias", "resize")


def is_property(statement: cst.CSTNode) -> bool:
    """Whether a statement is a property of either form; an axis, or another but `model_type`, which each config has."""
    if isinstance(statement, cst.FunctionDef) and _is_property(statement):
        return statement.name.value != "model_type"
    return is_axis(statement)


def argument(call: cst.Call, name: str, position: int) -> cst.BaseExpression | None:
    """The argument of `call` that is given as `name` or at `position`."""
    for index, given in enumerate(call.args):
        keyword = None if given.keyword is None else given.keyword.value
        if keyword == name or (keyword is None and index == position and not given.star):
            return given.value
    return None


def _is_class_var(annotation: cst.Annotation) -> bool:
    kind = annotation.annotation
    outer = kind.value if isinstance(kind, cst.Subscript) else kind
    return (get_full_name_for_node(outer) or "").rpartition(".")[2] == "ClassVar"


def _is_property(function: cst.FunctionDef) -> bool:
    return any(get_full_name_for_node(decorator.decorator) == "property" for decorator in function.decorators)
