"""One name in the place of another, conditions, order in tuples, texts."""

from collections.abc import Iterator

import libcst as cst

from levgen.prove.mutate.operator import operator
from levgen.prove.mutate.site import Site

# Texts of which one stands for another.
_ALTERNATIVES = (
    ("half", "interleaved"),
    ("halves", "tensor2tensor"),
    ("silu", "gelu", "gelu_pytorch_tanh", "relu", "relu2", "quick_gelu", "tanh"),
    ("gelu_new", "gelu", "relu", "silu"),
)


@operator("wrong value", "another value is meant")
def value_swapped(node: cst.CSTNode, site: Site) -> Iterator[str]:
    """self.mlp(self.norm(h)) -> self.mlp(self.norm(x)), where both are hidden states."""
    if not (site.is_forward and isinstance(node, cst.Name) and node.value in site.values):
        return
    if isinstance(site.parent, cst.AssignTarget | cst.Attribute | cst.Param) or _is_keyword(node, site):
        return
    others = [name for name in site.values if name != node.value]
    yield from others if site.exhaustive else others[-2:]


@operator("deviation", "another standard deviation is meant")
def deviation_swapped(node: cst.CSTNode, site: Site) -> Iterator[str]:
    """std=std -> std=residual_std."""
    if site.function == "init" and isinstance(node, cst.Name) and site.keyword == "std" and not _is_keyword(node, site):
        yield from (name for name in site.assigned if "std" in name and name != node.value)


@operator("swapped modules", "two modules of one kind are swapped")
def field_swapped(node: cst.CSTNode, site: Site) -> Iterator[str]:
    """self.gate_proj -> self.up_proj, where both fields hold the same class."""
    match node:
        case cst.Attribute(value=cst.Name(value="self"), attr=cst.Name(value=name)) if name in site.owner.fields:
            kind = site.owner.fields[name]
            if kind in ("int", "float", "bool", "str"):
                return
            others = [other for other, annotation in site.owner.fields.items() if annotation == kind and other != name]
            yield from (f"self.{other}" for other in (others if site.exhaustive else others[:1]))


@operator("swapped modules", "two modules are applied to each other's inputs")
def fields_exchanged(node: cst.CSTNode, site: Site) -> Iterator[str]:
    """act(self.gate(x)) * self.up(x) -> act(self.up(x)) * self.gate(x), in a whole expression."""
    if not (site.is_forward and site.is_value):
        return
    text = site.code(node)
    called = [name for name in site.owner.fields if f"self.{name}(" in text]
    for index, one in enumerate(called):
        for other in called[index + 1 :]:
            if site.owner.fields[one] == site.owner.fields[other]:
                marked = text.replace(f"self.{one}(", "self.\0(").replace(f"self.{other}(", f"self.{one}(")
                yield marked.replace("self.\0(", f"self.{other}(")


@operator("swapped halves", "what is unpacked comes in another order")
def unpacking_swapped(node: cst.CSTNode, site: Site) -> Iterator[str]:
    """q, k, v = ... -> k, q, v = ..."""
    if isinstance(node, cst.Tuple) and isinstance(site.parent, cst.AssignTarget):
        statement = site.parents[-2]
        random = isinstance(statement, cst.Assign) and site.code(statement.value).startswith("jrandom.")
        if not random and site.code(node).islower():
            yield from _orders(node, site)


@operator("layout", "axes are laid out in another order")
def tuple_reordered(node: cst.CSTNode, site: Site) -> Iterator[str]:
    """(KVHeads, QHeadsPerGroup, HeadSize) -> (QHeadsPerGroup, KVHeads, HeadSize)."""
    if isinstance(node, cst.Tuple) and not isinstance(site.parent, cst.AssignTarget) and node.lpar:
        values = [site.code(element.value) for element in node.elements]
        if all(value.rpartition(".")[2][:1].isupper() for value in values):
            yield from _orders(node, site)


def _orders(node: cst.Tuple, site: Site) -> Iterator[str]:
    """The elements with two neighbours swapped; every pair where all alternatives are asked for."""
    values = [site.code(element.value) for element in node.elements]
    for i in range(len(values)):
        for j in range(i + 1, len(values) if site.exhaustive else min(i + 2, len(values))):
            swapped = list(values)
            swapped[i], swapped[j] = swapped[j], swapped[i]
            yield ", ".join(swapped)


@operator("condition", "a condition is the other way round")
def condition_negated(node: cst.CSTNode, site: Site) -> Iterator[str]:
    """x is None <-> x is not None, == <-> !=, not x <-> x."""
    match node:
        case cst.Comparison(left=left, comparisons=[cst.ComparisonTarget(operator=cst.Is(), comparator=right)]):
            yield f"{site.code(left)} is not {site.code(right)}"
        case cst.Comparison(left=left, comparisons=[cst.ComparisonTarget(operator=cst.IsNot(), comparator=right)]):
            yield f"{site.code(left)} is {site.code(right)}"
        case cst.Comparison(left=left, comparisons=[cst.ComparisonTarget(operator=cst.Equal(), comparator=right)]):
            yield f"{site.code(left)} != {site.code(right)}"
        case cst.UnaryOperation(operator=cst.Not(), expression=value):
            yield site.code(value)
        case cst.IfExp(test=cst.Name() | cst.Attribute() as test, body=body, orelse=orelse):
            yield f"{site.code(orelse)} if {site.code(test)} else {site.code(body)}"


@operator("branch", "one branch is always taken")
def branch_forced(node: cst.CSTNode, site: Site) -> Iterator[str]:
    """a if c else b -> a, and b."""
    if isinstance(node, cst.IfExp):
        yield f"({site.code(node.body)})"
        yield f"({site.code(node.orelse)})"


@operator("text", "another name is meant")
def text_changed(node: cst.CSTNode, site: Site) -> Iterator[str]:
    """ "half" -> "interleaved", "silu" -> "gelu"."""
    if isinstance(node, cst.SimpleString) and site.calls:
        value = node.evaluated_value
        for texts in _ALTERNATIVES:
            if value in texts:
                others = [text for text in texts if text != value]
                yield from (f'"{text}"' for text in (others if site.exhaustive else others[:1]))


@operator("name in the checkpoint", "a tensor is read under another name")
def key_dropped(node: cst.CSTNode, site: Site) -> Iterator[str]:
    """{"embeddings": "wte"} without that entry, in the map of names."""
    if isinstance(node, cst.Dict) and site.function == "_state_dict_key_map":
        entries = [site.code(element).strip().rstrip(",") for element in node.elements]
        for index in range(len(entries)):
            yield "{" + ", ".join(entries[:index] + entries[index + 1 :]) + "}"


def _is_keyword(node: cst.Name, site: Site) -> bool:
    """Whether the name is the keyword of an argument, not its value."""
    return isinstance(site.parent, cst.Arg) and site.parent.keyword is node
