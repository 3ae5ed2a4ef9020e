"""Where a token stands, and what turns by it."""

from collections.abc import Iterator

import libcst as cst

from levgen.prove.mutate.operator import operator
from levgen.prove.mutate.site import Site


def _is_positions(node: cst.CSTNode, site: Site) -> bool:
    """Whether `node` hands positions to something."""
    return (
        isinstance(node, cst.Name)
        and node.value in site.positions
        and isinstance(site.parent, cst.Arg | cst.BinaryOperation)
    )


@operator("positions", "positions are counted from another number")
def positions_shifted(node: cst.CSTNode, site: Site) -> Iterator[str]:
    """pos_ids -> pos_ids + 1."""
    if _is_positions(node, site):
        yield f"({site.code(node)} + 1)"
        if site.exhaustive:
            yield from (f"({site.code(node)} + {count})" for count in (2, -1))


@operator("positions", "positions run backwards")
def positions_reversed(node: cst.CSTNode, site: Site) -> Iterator[str]:
    """pos_ids -> -pos_ids."""
    if _is_positions(node, site):
        yield f"(-{site.code(node)})"


@operator("positions", "positions are ignored")
def positions_forgotten(node: cst.CSTNode, site: Site) -> Iterator[str]:
    """pos_ids -> pos_ids * 0."""
    if _is_positions(node, site):
        yield f"({site.code(node)} * 0)"


@operator("positions", "positions that are given are not used")
def positions_restarted(node: cst.CSTNode, site: Site) -> Iterator[str]:
    """pos_ids -> counted from 0 along the axis; and back, where they are counted."""
    if _is_positions(node, site) and isinstance(site.parent, cst.Arg):
        yield f"hax.arange({node.value}.resolve_axis('position'))"  # type: ignore[attr-defined]
    elif site.exhaustive and isinstance(node, cst.Call) and site.code(node.func) == "hax.arange":
        yield from site.positions


@operator("positions", "queries that grow with their position don't")
def temperature_dropped(node: cst.CSTNode, site: Site) -> Iterator[str]:
    """tempered_queries(q, positions, ...) -> q."""
    match node:
        case cst.Call(func=cst.Name(value="tempered_queries"), args=[cst.Arg(value=queries), *_]):
            yield site.code(queries)


@operator("rotation", "a rotation is missing")
def rotation_added(node: cst.CSTNode, site: Site) -> Iterator[str]:
    """k = self.k_proj(x) -> k = rope(self.k_proj(x), pos_ids, HeadSize)."""
    if (
        site.is_forward
        and isinstance(site.parent, cst.Assign)
        and isinstance(node, cst.Call)
        and "HeadSize" in site.assigned
    ):
        for rotation in site.rotations:
            if f"{rotation}(" not in site.code(node):
                yield from (f"{rotation}({site.code(node)}, {name}, HeadSize)" for name in site.positions)


@operator("rope layout", "the rotation pairs other dimensions")
def layout_flipped(node: cst.CSTNode, site: Site) -> Iterator[str]:
    """rope(q, pos_ids, HeadSize, "half") -> "interleaved" as a fourth argument."""
    match node:
        case cst.Call(func=function, args=args) if site.is_rotation(site.code(function)) and len(args) >= 4:
            last = args[3]
            if last.keyword is None:
                other = "half" if "interleaved" in site.code(last) else "interleaved"
                listed = "".join(site.code(argument) for argument in args[:3])
                yield f'{site.code(function)}({listed.rstrip(", ")}, "{other}")'
