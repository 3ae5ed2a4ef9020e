"""Which keys a query sees."""

from collections.abc import Iterator

import libcst as cst

from levgen.prove.mutate.operator import operator
from levgen.prove.mutate.site import Site

_MASK = "AttentionMask"


def _makes(node: cst.CSTNode, site: Site) -> str | None:
    """The constructor of masks that `node` calls: "of", "causal", "" for the class itself."""
    if isinstance(node, cst.Call):
        name, _, method = site.code(node.func).partition(".")
        if name == _MASK:
            return method
    return None


@operator("mask", "the mask that is given is not used")
def mask_ignored(node: cst.CSTNode, site: Site) -> Iterator[str]:
    """AttentionMask.of(attn_mask) -> AttentionMask.causal()."""
    if _makes(node, site) == "of":
        yield f"{_MASK}.causal()"


@operator("mask", "nothing is hidden")
def mask_opened(node: cst.CSTNode, site: Site) -> Iterator[str]:
    """AttentionMask.of(attn_mask) -> AttentionMask()."""
    if _makes(node, site) is not None:
        yield f"{_MASK}()"


@operator("mask", "the edge of the mask is shifted")
def mask_shifted(node: cst.CSTNode, site: Site) -> Iterator[str]:
    """AttentionMask.of(attn_mask) -> causal with an offset of 1, and of -1."""
    if _makes(node, site) in ("of", "causal"):
        yield f"{_MASK}.causal(offset=1)"
        yield f"{_MASK}.causal(offset=-1)"


@operator("mask", "the mask that is given is not used")
def mask_read(node: cst.CSTNode, site: Site) -> Iterator[str]:
    """AttentionMask.causal() -> AttentionMask.of(attn_mask)."""
    if site.exhaustive and _makes(node, site) in ("causal", ""):
        yield from (f"{_MASK}.of({name})" for name in site.masks)


@operator("mask", "the mask is not handed on")
def mask_dropped(node: cst.CSTNode, site: Site) -> Iterator[str]:
    """attention(q, k, v, mask) -> attention(q, k, v, None)."""
    if _is_argument(node, site) and isinstance(node, cst.Name) and node.value in site.masks:
        yield "None"


@operator("mask", "the mask is not handed on")
def mask_handed_on(node: cst.CSTNode, site: Site) -> Iterator[str]:
    """attention(q, k, v, None) -> attention(q, k, v, mask)."""
    if site.exhaustive and _is_argument(node, site) and isinstance(node, cst.Name) and node.value == "None":
        yield from site.masks


@operator("mask", "a window is missing")
def window_added(node: cst.CSTNode, site: Site) -> Iterator[str]:
    """attention(q, k, v, mask) -> attention(q, k, v, mask.with_sliding_window(n))."""
    if not (_is_argument(node, site) and isinstance(node, cst.Name) and node.value in site.masks and site.config):
        return
    flags = [name for name in site.parameters if "window" in name]
    windows = [name for name in site.facts.config.fields if "window" in name]
    for window in windows if site.exhaustive else []:
        yield f"{node.value}.with_sliding_window({site.config}.{window})"
        yield from (f"{node.value}.with_sliding_window({site.config}.{window}, where={flag})" for flag in flags)


@operator("mask", "layers without a window have one")
def window_narrowed(node: cst.CSTNode, site: Site) -> Iterator[str]:
    """mask.with_sliding_window(n) -> mask.with_sliding_window(n, where=windowed)."""
    if isinstance(node, cst.Call) and site.code(node.func).endswith(".with_sliding_window") and len(node.args) == 1:
        flags = [name for name in site.parameters if "window" in name]
        yield from (f"{site.code(node.func)}({site.code(node.args[0])}, where={flag})" for flag in flags)


@operator("mask", "layers with and without a window are swapped")
def window_inverted(node: cst.CSTNode, site: Site) -> Iterator[str]:
    """where=windowed -> where=not windowed."""
    if site.keyword == "where" and isinstance(node, cst.Name) and node.value in site.parameters:
        yield f"hax.logical_not({node.value})"
    elif isinstance(node, cst.Call) and site.code(node.func).endswith("logical_not") and node.args:
        yield site.code(node.args[0].value)


def _is_argument(node: cst.CSTNode, site: Site) -> bool:
    return site.is_forward and isinstance(site.parent, cst.Arg) and site.parent.keyword is not node
