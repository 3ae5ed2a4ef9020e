"""What is read from the config, and what should be."""

from collections.abc import Iterator

import libcst as cst

from levgen.prove.mutate.operator import operator
from levgen.prove.mutate.site import Site


def _field(node: cst.CSTNode, site: Site) -> str | None:
    """The field of the config that `node` reads."""
    match node:
        case cst.Attribute(value=owner, attr=cst.Name(value=name)):
            if site.config is not None and site.code(owner) == site.config and name in site.facts.config.fields:
                return name
    return None


@operator("default", "a field of the config is left unread")
def config_unread(node: cst.CSTNode, site: Site) -> Iterator[str]:
    """config.norm_eps -> 1e-6, its default."""
    name = _field(node, site)
    if name is not None and name in site.facts.config.defaults:
        yield site.facts.config.defaults[name]


@operator("config", "a value is fixed that the config has")
def config_read(node: cst.CSTNode, site: Site) -> Iterator[str]:
    """eps=1e-6 -> eps=config.norm_eps, Rotary() -> config.rope, activation("silu") -> activation(config.activation)."""
    if site.config is None or site.owner is site.facts.config or not site.exhaustive:
        return
    if isinstance(site.parent, cst.Comparison | cst.ComparisonTarget):
        return
    for name, annotation in site.facts.config.fields.items():
        if _could_be(node, annotation, name, site):
            yield f"{site.config}.{name}"


def _could_be(node: cst.CSTNode, annotation: str, name: str, site: Site) -> bool:
    kind = annotation.partition(" ")[0]
    match node:
        case cst.Call(func=cst.Name(value="Rotary")):
            return kind == "Rotary"
        case cst.SimpleString():
            return kind == "str" and bool(site.calls)
        case cst.Name(value="True" | "False"):
            return kind == "bool" and site.keyword is not None
        case cst.Integer() | cst.Float() | cst.Name(value="None"):
            about = site.keyword or (site.calls[0] if site.calls else "")
            named = about.rpartition("_")[2] in name or (about == "std" and "range" in name)
            return kind in ("int", "float") and (named or site.keyword is None)
    return False


@operator("config", "another field of the config is meant")
def config_other(node: cst.CSTNode, site: Site) -> Iterator[str]:
    """config.num_heads -> config.num_kv_heads: a field of the same type."""
    name = _field(node, site)
    if name is None:
        return
    fields = site.facts.config.fields
    same = [other for other, annotation in fields.items() if annotation == fields[name]]
    others = [other for other in same[same.index(name) + 1 :] + same[: same.index(name)] if other != "max_seq_len"]
    yield from (f"{site.config}.{other}" for other in (others if site.exhaustive else others[:1]))


@operator("axis", "another axis is meant")
def axis_other(node: cst.CSTNode, site: Site) -> Iterator[str]:
    """config.KVHeads -> config.QHeadsPerGroup."""
    match node:
        case cst.Attribute(value=owner, attr=cst.Name(value=name)):
            axes = site.facts.config.axes
            if site.config is not None and site.code(owner) == site.config and name in axes:
                others = [*axes[axes.index(name) + 1 :], *axes[: axes.index(name)]]
                yield from (f"{site.config}.{other}" for other in (others if site.exhaustive else others[:1]))


@operator("scale", "the scale is that of another size")
def size_other(node: cst.CSTNode, site: Site) -> Iterator[str]:
    """HeadSize.size -> config.hidden_dim, and a whole number of the config -> HeadSize.size."""
    match node:
        case cst.Attribute(attr=cst.Name(value="size")) if site.config is not None and site.is_forward:
            sizes = [name for name, annotation in site.facts.config.fields.items() if annotation == "int"]
            chosen = [name for name in sizes if name != "max_seq_len"]
            yield from (f"{site.config}.{name}" for name in (chosen if site.exhaustive else chosen[:1]))
        case cst.Attribute() if site.is_forward and _field(node, site) is not None and site.exhaustive:
            if site.facts.config.fields[_field(node, site) or ""] == "int" and "HeadSize" in site.facts.config.axes:
                yield f"{site.config}.HeadSize.size"
