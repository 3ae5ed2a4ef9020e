"""Numbers that are written in the source."""

from collections.abc import Iterator

import libcst as cst

from levgen.prove.mutate.operator import operator
from levgen.prove.mutate.site import Site


def _number(node: cst.CSTNode) -> float | int | None:
    return node.evaluated_value if isinstance(node, cst.Integer | cst.Float) else None


@operator("number", "a number is half of what it should be")
def number_doubled(node: cst.CSTNode, site: Site) -> Iterator[str]:
    """0.5 -> 1.0; 0 stays."""
    value = _number(node)
    if value:
        yield repr(2 * value)


@operator("number", "a number is twice what it should be")
def number_halved(node: cst.CSTNode, site: Site) -> Iterator[str]:
    """0.5 -> 0.25; an integer only where it is even."""
    value = _number(node)
    if isinstance(value, float) and value:
        yield repr(value / 2)
    elif isinstance(value, int) and value and value % 2 == 0:
        yield repr(value // 2)


@operator("number", "a number is one too large or too small")
def number_stepped(node: cst.CSTNode, site: Site) -> Iterator[str]:
    """2 -> 3 and 1; 1.0 -> 0.0 and 2.0."""
    value = _number(node)
    if value is not None and float(value).is_integer():
        yield repr(value + 1)
        if value >= 1:
            yield repr(value - 1)


@operator("sign", "a sign is missing or too much")
def sign_flipped(node: cst.CSTNode, site: Site) -> Iterator[str]:
    """-x -> x, and a factor or an exponent x -> -x."""
    match node:
        case cst.UnaryOperation(operator=cst.Minus(), expression=value):
            yield site.code(value)
        case cst.BinaryOperation(left=left, operator=cst.Power(), right=cst.Name() | cst.Integer() | cst.Float()):
            yield f"{site.code(left)}**-{site.code(node.right)}"


@operator("scale", "an amount is off by one")
def off_by_one(node: cst.CSTNode, site: Site) -> Iterator[str]:
    """`axis.size` and whole numbers of the config, where they are computed with: n -> n + 1 and n - 1."""
    match node:
        case cst.Attribute(attr=cst.Name(value="size")):
            yield f"({site.code(node)} + 1)"
        case cst.Attribute(value=owner, attr=cst.Name(value=name)) if site.code(owner) == site.config:
            if site.facts.config.fields.get(name, "").startswith("int") and isinstance(site.parent, cst.Arg):
                yield f"{site.code(node)} - 1"
                if site.exhaustive or "mask" in "".join(site.calls):
                    yield f"{site.code(node)} + 1"
