"""Sums, products and powers."""

from collections.abc import Iterator

import libcst as cst

from levgen.prove.mutate.operator import operator
from levgen.prove.mutate.site import Site

_OTHER: dict[type[cst.BaseBinaryOp], str] = {
    cst.Add: "-",
    cst.Subtract: "+",
    cst.Multiply: "/",
    cst.Divide: "*",
    cst.FloorDivide: "*",
    cst.Power: "*",
}


def _grouped(text: str, node: cst.CSTNode) -> str:
    return f"({text})" if isinstance(node, cst.BinaryOperation) and not node.lpar else text


@operator("operation", "one operation stands for another")
def operation_changed(node: cst.CSTNode, site: Site) -> Iterator[str]:
    """+ <-> -, * <-> /, ** -> *."""
    if isinstance(node, cst.BinaryOperation):
        sign = _OTHER.get(type(node.operator))
        if sign is not None:
            right = _grouped(site.code(node.right), node.right)
            yield f"({site.code(node.left)} {sign} {right})"


@operator("extra term", "a term or factor on the left is too much")
def left_dropped(node: cst.CSTNode, site: Site) -> Iterator[str]:
    """a + b -> b: a residual, a factor."""
    if isinstance(node, cst.BinaryOperation) and not isinstance(node.operator, cst.Power):
        yield _grouped(site.code(node.right), node.right)


@operator("extra term", "a term or factor on the right is too much")
def right_dropped(node: cst.CSTNode, site: Site) -> Iterator[str]:
    """a + b -> a, a ** b -> a."""
    if isinstance(node, cst.BinaryOperation):
        yield _grouped(site.code(node.left), node.left)


@operator("operands", "two operands stand in the wrong order")
def operands_swapped(node: cst.CSTNode, site: Site) -> Iterator[str]:
    """a - b -> b - a, also for / and **."""
    if isinstance(node, cst.BinaryOperation) and isinstance(
        node.operator, cst.Subtract | cst.Divide | cst.FloorDivide | cst.Power
    ):
        sign = site.code(node.operator)
        yield f"({_grouped(site.code(node.right), node.right)}{sign}{_grouped(site.code(node.left), node.left)})"


@operator("residual", "a residual is missing")
def residual_added(node: cst.CSTNode, site: Site) -> Iterator[str]:
    """return f(x) -> return x + f(x)."""
    if site.is_forward and site.is_value and isinstance(node, cst.Call | cst.BinaryOperation):
        returned = site.values[-1:] if isinstance(site.parent, cst.Return) else []
        values = site.values if site.exhaustive else returned
        for value in values:
            yield f"{value} + {site.code(node)}"


@operator("missing term", "an embedding of the class is never added")
def term_added(node: cst.CSTNode, site: Site) -> Iterator[str]:
    """return self.wte(ids) -> return self.wte(ids) + self.wpe(pos_ids), for a table that the function doesn't read."""
    if not (site.exhaustive and site.is_forward and site.is_value and isinstance(node, cst.Call | cst.BinaryOperation)):
        return
    for name, annotation in site.owner.fields.items():
        if annotation == "Embedding" and f"self.{name}(" not in site.code(node):
            yield from (f"{site.code(node)} + self.{name}({positions})" for positions in site.positions)


@operator("missing term", "what a module of the class gives is never added")
def module_added(node: cst.CSTNode, site: Site) -> Iterator[str]:
    """return mixed -> return mixed + self.shared(x), for a module of the file."""
    if not (site.exhaustive and site.is_forward and isinstance(site.parent, cst.Return)):
        return
    if isinstance(node, cst.Name | cst.Call | cst.BinaryOperation):
        for name, annotation in site.owner.fields.items():
            if annotation in site.facts.classes and f"self.{name}(" not in site.code(node):
                yield from (f"{site.code(node)} + self.{name}({value})" for value in site.values[:1])


@operator("softcap", "a soft cap of the config is missing")
def cap_added(node: cst.CSTNode, site: Site) -> Iterator[str]:
    """return logits -> return cap * hax.tanh(logits / cap)."""
    if site.exhaustive and site.is_forward and isinstance(site.parent, cst.Return) and site.config:
        for name in site.facts.config.fields:
            if "cap" in name and isinstance(node, cst.BaseExpression):
                cap = f"{site.config}.{name}"
                yield f"{cap} * hax.tanh({site.code(node)} / {cap})"


@operator("missing factor", "a factor of the config is missing")
def factor_added(node: cst.CSTNode, site: Site) -> Iterator[str]:
    """return x -> return x * config.multiplier, or the root of the width."""
    if (
        site.is_forward
        and site.is_value
        and site.config
        and isinstance(node, cst.Call | cst.BinaryOperation | cst.Name)
    ):
        fields = site.facts.config.fields
        factors = [f"{site.config}.{name}" for name, kind in fields.items() if kind == "float" and _is_factor(name)]
        if "hidden_dim" in fields:
            factors.append(f"{site.config}.hidden_dim**0.5")
        returned = factors[:1] if isinstance(site.parent, cst.Return) else []
        for factor in factors if site.exhaustive else returned:
            yield f"({site.code(node)}) * {factor}"


def _is_factor(name: str) -> bool:
    return any(part in name for part in ("scale", "multiplier", "scaling", "factor"))


@operator("function", "one function of arrays stands for another")
def function_changed(node: cst.CSTNode, site: Site) -> Iterator[str]:
    """tanh -> sigmoid, sqrt -> square, mean -> sum, rsqrt -> sqrt, maximum <-> minimum."""
    match node:
        case cst.Call(func=cst.Attribute(value=owner, attr=cst.Name(value=name)), args=args) if name in _FUNCTIONS:
            if site.code(owner) in ("hax", "jnp", "math", "jax.nn") and (name, site.code(owner)) != ("sqrt", "math"):
                listed = "".join(site.code(argument) for argument in args)
                yield f"{site.code(owner)}.{_FUNCTIONS[name]}({listed})"


_FUNCTIONS = {
    "tanh": "sin",
    "sqrt": "square",
    "rsqrt": "sqrt",
    "mean": "sum",
    "maximum": "minimum",
    "minimum": "maximum",
    "sin": "cos",
    "cos": "sin",
}
