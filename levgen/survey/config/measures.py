"""The findings about a model as plain values that can be compared between configs."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from levgen.survey.config.indexer_measures import INDEXED, IndexerMeasures, measure_indexer
from levgen.survey.config.latent_measures import LATENT, LatentMeasures, latent_norms, maps_up, measure_latent
from levgen.survey.evidence import UnresolvedError
from levgen.survey.mixture.measures import MIXTURE, MixtureMeasures, dense_layers, measure_mixture
from levgen.survey.mixture.whole import Mixture
from levgen.survey.names import check_parameter_names, module_roles
from levgen.survey.observe.leaves import Affine, NormLeaf
from levgen.survey.questions.activation import ChannelBlock
from levgen.survey.questions.dataflow import source_of_norm
from levgen.survey.questions.output_gate import OutputGate
from levgen.survey.structure import LayerFindings, Structure

# In which layers with experts may differ from those without.
_OF_CHANNELS = (*MIXTURE, "intermediate_dim", "mlp_bias", "mlp_kind", "mlp_projections", "mlp_transposed", "names")
# What holds for some layers only shows where these were examined.
_SOME = {
    "window": "windowed",
    "chunk": "windowed",
    "qk_norm": "normed",
    "qk_norm_weight": "normed",
    "query_scaling": "tempered",
    "layout": "rotating",
    "backwards": "rotating",
    "rotary_dim": "rotating",
    "position_kind": "rotating",
    "norm_after_rotation": "rotating",
    "growth_length": "unturned",
    "growth_exponent": "unturned",
    "local_kv_multiple": "told_apart",
    **{name: "sparse" for name in (*_OF_CHANNELS, "mlp_inner_norm") if name != "sparse"},
}
# In which layers with a window may differ from those without.
_OF_WINDOWS = ("num_kv_heads", "sinks")
# One value a layer, which layers may differ in.
BY_LAYER = (
    "windowed",
    "rotating",
    "rotary_scaling",
    "frequencies",
    "normed",
    "tempered",
    "missing_norm",
    "added_bias",
    "terms",
    "sunk",
    "sparse",
    "mixer",
)


# What is of attention alone.
_OF_ATTENTION = (
    *LATENT,
    *INDEXED,
    "num_heads",
    "num_kv_heads",
    "local_kv_multiple",
    "head_dim",
    "window",
    "chunk",
    "rotary_dim",
    "attention_scale",
    "value_scale",
    "attention_softcap",
    "attention_clip",
    "attention_bias",
    "output_bias",
    "position_kind",
    "layout",
    "backwards",
    "query_scaling",
    "growth_length",
    "growth_exponent",
    "projections",
    "attention_transposed",
    "qk_norm",
    "qk_norm_weight",
    "norm_after_rotation",
    "attention_inner_norm",
    "sinks",
    "attention_gate",
    "gate_per",
    "gate_bias",
    "windowed",
    "rotating",
    "normed",
    "tempered",
    "frequencies",
    "rotary_scaling",
    "sunk",
)


@dataclass(frozen=True)
class Measures(LatentMeasures, IndexerMeasures, MixtureMeasures):
    """What one config's model is. Fields of one value a layer are tuples; the others hold for every layer."""

    # sizes
    hidden_dim: int
    intermediate_dim: int | None  # None where every layer has experts
    num_layers: int
    num_heads: int
    num_kv_heads: int  # of layers without a window, where there are any
    local_kv_multiple: float | None  # how many times as many those with one have; None where all are alike in that
    head_dim: int
    position_rows: int | None
    window: int | None
    chunk: int | None
    rotary_dim: int
    # factors
    norm_eps: float
    embedding_scale: float
    attention_scale: float
    value_scale: float
    attention_softcap: float | None
    attention_clip: float | None
    residual_scale: float
    logit_scale: float
    logit_softcap: float | None
    # switches
    attention_bias: bool
    output_bias: bool
    mlp_bias: bool
    head_bias: bool
    tied: bool
    # kinds
    activation: tuple[str, ...]
    norm_kind: str
    norm_weight: bool
    norm_offset: bool
    norm_bias: bool
    position_kind: str
    position_offset: int
    position_table: str | None
    layout: str | None
    backwards: bool
    query_scaling: tuple[float, ...] | None
    growth_length: float | None
    growth_exponent: float | None
    projections: str
    attention_transposed: bool
    qk_norm: str
    qk_norm_weight: bool
    norm_after_rotation: bool
    attention_inner_norm: bool
    sinks: bool
    attention_gate: str
    gate_per: str
    gate_bias: bool
    mlp_kind: str
    mlp_projections: str
    mlp_transposed: bool
    mlp_inner_norm: bool
    layer_norms: str
    has_mlp: bool  # an MLP or experts
    parallel: str
    embedding_norm: bool
    final_norm: bool
    head_transform: bool
    transform_bias: bool
    transform_activation: tuple[str, ...]
    transform_norm: bool
    # by layer
    windowed: tuple[bool, ...]  # whether a query sees a part of the keys, by a window or by chunks
    rotating: tuple[bool, ...]
    normed: tuple[bool, ...]  # whether queries and keys have norms
    tempered: tuple[bool, ...]  # whether queries grow with their position
    frequencies: tuple[tuple[float, ...], ...]
    rotary_scaling: tuple[float, ...]
    missing_norm: tuple[str | None, ...]  # the role of a norm that a layer hasn't got, and others have
    added_bias: tuple[bool, ...]
    sunk: tuple[bool, ...]  # which have sinks
    terms: tuple[int | None, ...]  # of how many what a layer is given is made up, where sums are averaged
    mixer: tuple[bool, ...]  # something unknown stands in the place of attention
    # weights
    names: Mapping[str, Mapping[str, str | None]]

    @property
    def latent(self) -> bool:
        """Whether keys and values are made from a vector of low rank."""
        return self.kv_lora_rank is not None

    @property
    def unturned(self) -> tuple[bool, ...]:
        """Of each layer that was examined, whether nothing rotates in it."""
        return tuple(not rotates for rotates in self.rotating)

    @property
    def told_apart(self) -> tuple[bool, ...]:
        """Whether layers with a window and without were examined, as if it were a value of one layer."""
        return (len(set(self.windowed)) > 1,)

    @property
    def has_qk_norm(self) -> bool:
        """Whether queries and keys have norms in some layer."""
        return any(self.normed)

    @property
    def has_temperature(self) -> bool:
        """Whether queries grow with their position in some layer."""
        return any(self.tempered)

    @property
    def turning_width(self) -> int:
        """The width of what rotates of a head, of which a part may pass."""
        return self.head_dim if self.qk_rope_head_dim is None else self.qk_rope_head_dim

    @property
    def joint_width(self) -> int | None:
        """Of gate and up together, where there are both."""
        if self.mlp_kind != "gated" or self.intermediate_dim is None:
            return None
        return 2 * self.intermediate_dim

    @property
    def mlp_multiple(self) -> float | None:
        """The MLP's width over the model's."""
        return None if self.intermediate_dim is None else self.intermediate_dim / self.hidden_dim

    @property
    def uneven(self) -> bool:
        """Whether some layers hold what others don't."""
        return len(set(self.missing_norm)) > 1 or len(set(self.added_bias)) > 1

    def differing(self, other: "Measures") -> list[str]:
        """The measures in which two models differ; those by layer as far as both were examined."""
        found = []
        for name in self.__dataclass_fields__:
            a, b = getattr(self, name), getattr(other, name)
            if name == "names":  # what a layer hasn't got has no name in it
                a, b = _shared(a, b), _shared(b, a)
            if name in BY_LAYER:
                n = min(len(a), len(b))
                a, b = a[:n], b[:n]
            partly = name in _SOME and len(self.windowed) != len(other.windowed)
            if partly and not all(any(getattr(m, _SOME[name])) for m in (self, other)):
                continue
            if not alike(a, b):
                found.append(name)
        return found


def _shared(names: Mapping[str, Mapping[str, Any]], others: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """`names` of the roles that `others` have too."""
    return {part: {r: n for r, n in own.items() if r in others[part]} for part, own in names.items() if part in others}


def alike(a: Any, b: Any, tolerance: float = 1e-5) -> bool:
    """Equal, numbers to a relative `tolerance`."""
    if isinstance(a, bool) or isinstance(b, bool) or a is None or b is None:
        return a is b
    if isinstance(a, int | float) and isinstance(b, int | float):
        return abs(a - b) <= tolerance * max(abs(a), abs(b)) + 1e-12
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(alike(x, y, tolerance) for x, y in zip(a, b, strict=True))
    return bool(a == b)


def measure(structure: Structure) -> Measures:
    """The measures of a model.

    Raises UnresolvedError where layers differ in more than window and rotation, and what some of them haven't got.
    """
    layers = _as_with_attention([_measure_layer(structure, layer) for layer in structure.layers])
    first = layers[0]
    allowed = {
        *BY_LAYER,
        "window",
        "chunk",
        "qk_norm",
        "qk_norm_weight",
        "query_scaling",
        "layout",
        "backwards",
        "rotary_dim",
        "position_kind",
        "norm_after_rotation",  # nothing tells where nothing rotates
    }
    still = [layer for layer in layers if layer.unturned[0]]
    grown = {(layer.growth_length, layer.growth_exponent) for layer in still} or {(None, None)}
    if len(grown) == 1:  # else those that don't rotate differ
        allowed |= {"growth_length", "growth_exponent"}
    kinds = {sparse: next((m for m in layers if m.sparse[0] is sparse), None) for sparse in (False, True)}
    windows_kinds = {has: next((m for m in layers if m.windowed[0] is has), None) for has in (False, True)}
    for index, layer in enumerate(layers):
        alike_in_kind, alike_in_window = kinds[layer.sparse[0]], windows_kinds[layer.windowed[0]]
        assert alike_in_kind is not None
        assert alike_in_window is not None
        unlike = {name: alike_in_kind for name in alike_in_kind.differing(layer) if name not in _OF_WINDOWS}
        unlike |= {name: first for name in first.differing(layer) if name not in {*_OF_CHANNELS, *_OF_WINDOWS, *unlike}}
        unlike |= {name: alike_in_window for name in alike_in_window.differing(layer) if name in _OF_WINDOWS}
        said = [
            f"{name}: {getattr(other, name)} in layer {layers.index(other)}, {getattr(layer, name)} in layer {index}"
            for name, other in unlike.items()
            if name not in allowed
        ]
        if said:
            raise UnresolvedError("layers that differ", "; ".join(said), structure.chain.layers[index].module)
    windows = {(layer.window, layer.chunk) for layer in layers if layer.windowed[0]}
    norms = {(layer.qk_norm, layer.qk_norm_weight) for layer in layers if layer.normed[0]}
    scalings = [layer.query_scaling for layer in layers if layer.tempered[0]]
    layouts = {(layer.layout, layer.norm_after_rotation) for layer in layers if layer.layout is not None}
    alike_scalings = all(alike(scaling, scalings[0], 1e-4) for scaling in scalings)
    if len(windows) > 1 or len(layouts) > 1 or len(norms) > 1 or not alike_scalings:
        raise UnresolvedError(
            "layers that differ",
            f"windows and chunks {sorted(windows, key=str)}, layouts, norms after: {sorted(layouts)}, "
            f"norms of queries and keys {sorted(norms)}"
            + ("" if alike_scalings else ", and queries that grow in different ways"),
        )
    first = _with_both(kinds[False], kinds[True])
    whole, local = windows_kinds[False], windows_kinds[True]
    multiple = None if whole is None or local is None else local.num_kv_heads / whole.num_kv_heads
    turning = next((layer for layer in layers if layer.layout is not None), first)
    (growth,) = grown
    return replace(
        first,
        window=next(iter(windows), (None, None))[0],
        chunk=next(iter(windows), (None, None))[1],
        qk_norm=next(iter(norms), ("none", True))[0],
        qk_norm_weight=next(iter(norms), ("none", True))[1],
        query_scaling=next(iter(scalings), None),
        layout=turning.layout,
        backwards=turning.backwards,
        rotary_dim=turning.rotary_dim,
        norm_after_rotation=turning.norm_after_rotation,
        position_kind=turning.position_kind,
        num_kv_heads=(whole or first).num_kv_heads,
        local_kv_multiple=multiple,
        sinks=any(layer.sinks for layer in layers),
        sunk=tuple(layer.sunk[0] for layer in layers),
        growth_length=growth[0],
        growth_exponent=growth[1],
        sparse=tuple(layer.sparse[0] for layer in layers),
        num_dense_layers=dense_layers([layer.sparse[0] for layer in layers]),
        windowed=tuple(layer.windowed[0] for layer in layers),
        rotating=tuple(layer.rotating[0] for layer in layers),
        normed=tuple(layer.normed[0] for layer in layers),
        tempered=tuple(layer.tempered[0] for layer in layers),
        frequencies=tuple(layer.frequencies[0] for layer in layers),
        rotary_scaling=tuple(layer.rotary_scaling[0] for layer in layers),
        missing_norm=tuple(layer.missing_norm[0] for layer in layers),
        added_bias=tuple(layer.added_bias[0] for layer in layers),
        terms=tuple(layer.terms[0] for layer in layers),
        mixer=tuple(layer.mixer[0] for layer in layers),
        names=_all_names(layers),
    )


def _as_with_attention(layers: list[Measures]) -> list[Measures]:
    """`layers`, those without attention with what was measured of it in another: nothing is known of theirs."""
    if not any(layer.mixer[0] for layer in layers):
        return layers
    other = next((layer for layer in layers if not layer.mixer[0]), None)
    if other is None:
        raise UnresolvedError("layers with attention", "no layer has any: in all of them something else stands there")
    held = {name: getattr(other, name) for name in _OF_ATTENTION}
    return [replace(layer, **held, names=_with_names_of(layer, other)) if layer.mixer[0] else layer for layer in layers]


def _with_names_of(layer: Measures, other: Measures) -> dict[str, dict[str, str | None]]:
    """The names in a layer without attention, with those of the attention in another."""
    own = layer.names["decoder_layer"]
    roles = {**own, "attention": other.names["decoder_layer"]["attention"], "mixer": own["attention"]}
    return {**layer.names, "decoder_layer": roles, "attention": other.names["attention"]}  # type: ignore[dict-item]


def _with_both(dense: Measures | None, sparse: Measures | None) -> Measures:
    """The measures of a layer without experts, with those of the experts of another."""
    if dense is None or sparse is None:
        found = dense or sparse
        assert found is not None
        return found
    dense_names, sparse_names = (_shared(a.names, b.names) for a, b in ((dense, sparse), (sparse, dense)))
    if dense_names["decoder_layer"] != sparse_names["decoder_layer"]:
        observed = f"{dense.names['decoder_layer']} without experts, {sparse.names['decoder_layer']} with"
        raise UnresolvedError("names in layers with experts", observed)
    return replace(dense, **{name: getattr(sparse, name) for name in MIXTURE})


def _all_names(layers: list[Measures]) -> dict[str, dict[str, str | None]]:
    """The names of all roles that any layer has."""
    names: dict[str, dict[str, str | None]] = {}
    for layer in layers:
        for part, own in layer.names.items():
            names.setdefault(part, {}).update(own)
    return names


def _measure_layer(structure: Structure, layer: LayerFindings) -> Measures:
    flow, roles, scores, block = layer.dataflow, layer.roles, layer.scores, layer.block
    embeddings, head = structure.embeddings, structure.head
    transform = head.transform
    leaves = layer.anatomy.leaves
    gate, up = layer.gate, maps_up(roles)
    own = [name for name in flow.attention_inputs if gate is None or name != gate.leaf]
    projections = {name: _affine(leaves[name]) for name in (*own, *up)}
    output = _affine(leaves[flow.attention_output])
    # A mixture of experts stands alone in the place of all of an MLP's projections.
    own_mlp = block if isinstance(block, ChannelBlock) else None
    mlp = [] if own_mlp is None else [_affine(leaves[name]) for name in (*flow.mlp_inputs, flow.mlp_output) if name]
    maps = [*projections.values(), output, *(() if gate is None else (gate,))]
    biases = [p.bias is not None for name, p in projections.items() if name not in up]
    attention_bias = _same("a bias of queries, keys and values", biases)
    mlp_bias = bool(mlp) and _same("a bias in the MLP", [p.bias is not None for p in mlp])
    attention_layout = _same("how attention's weights lie", [p.transposed for p in maps])
    mlp_layout = bool(mlp) and _same("how the MLP's weights lie", [p.transposed for p in mlp])
    norm = _one_norm(structure, layer)
    kinds = {embeddings.positions} - {"none"}
    kinds |= {"rotary"} if scores.layout is not None else set()
    kinds |= {"alibi"} if scores.alibi else set()
    if len(kinds) > 1:
        raise UnresolvedError("positions", f"several kinds at once: {sorted(kinds)}")
    width = structure.chain.layers[0].input.shape[-1]
    return Measures(
        hidden_dim=width,
        intermediate_dim=None if own_mlp is None else own_mlp.width,
        num_layers=len(structure.chain.layers),
        num_heads=roles.heads,
        num_kv_heads=roles.kv_heads,
        local_kv_multiple=None,
        head_dim=roles.head_dim,
        position_rows=None if embeddings.rows is None else embeddings.rows - embeddings.offset,
        window=roles.window,
        chunk=roles.chunk,
        rotary_dim=2 * len(scores.frequencies),
        norm_eps=norm.eps,
        embedding_scale=embeddings.scale,
        attention_scale=scores.scale,
        value_scale=scores.value_scale,
        attention_softcap=scores.softcap,
        attention_clip=scores.clip,
        residual_scale=flow.residual_scale,
        logit_scale=head.scale,
        logit_softcap=head.softcap,
        attention_bias=attention_bias,
        output_bias=output.bias is not None,
        mlp_bias=mlp_bias,
        head_bias=head.bias,
        tied=head.tied,
        activation=() if block is None else block.activations,
        norm_kind=norm.kind,
        norm_weight=norm.weight is not None,
        norm_offset=bool(norm.offset),
        norm_bias=norm.bias is not None,
        position_kind=kinds.pop() if kinds else "none",
        position_offset=embeddings.offset,
        position_table=embeddings.table,
        layout=scores.layout,
        backwards=any(f < 0 for f in scores.frequencies),
        query_scaling=scores.query_scaling,
        growth_length=None if scores.growth is None else scores.growth.length,
        growth_exponent=None if scores.growth is None else scores.growth.exponent,
        projections=roles.order,
        attention_transposed=attention_layout,
        qk_norm=_qk_norm(layer),
        qk_norm_weight=norm.weight is None or not bare_norms(layer),
        norm_after_rotation=scores.norm_after_rotation,
        attention_inner_norm=flow.attention_core.target != flow.attention_output,
        sinks=scores.sinks is not None,
        sunk=(scores.sinks is not None,),
        attention_gate="none" if gate is None else gate.function,
        gate_bias=gate is not None and _gate_bias(layer, gate),
        gate_per="channel" if gate is None else _gate_per(layer, gate),
        mlp_kind="gated" if own_mlp is None else own_mlp.kind,
        mlp_projections="separate" if own_mlp is None else own_mlp.projections,
        mlp_transposed=mlp_layout,
        mlp_inner_norm=flow.mlp_core is not None and flow.mlp_core.target != flow.mlp_output,
        layer_norms=flow.norms,
        has_mlp=block is not None,
        parallel=flow.parallel,
        embedding_norm=embeddings.norm is not None,
        final_norm=head.norm is not None,
        head_transform=transform is not None,
        transform_bias=transform is not None and transform.bias,
        transform_activation=() if transform is None else transform.activations,
        transform_norm=transform is not None and transform.norm is not None,
        windowed=(roles.window is not None or roles.chunk is not None,),
        rotating=(scores.layout is not None,),
        normed=(_qk_norm(layer) != "none",),
        tempered=(scores.query_scaling is not None,),
        frequencies=(tuple(abs(f) for f in scores.frequencies),),
        rotary_scaling=(scores.rotary_scaling,),
        missing_norm=(flow.missing,),
        added_bias=(flow.added_bias is not None,),
        terms=(flow.terms,),
        mixer=(layer.mixer,),
        names=module_roles(structure, layer),
        **({"v_head_dim": roles.value_dim} | measure_latent(layer)),
        **measure_indexer(layer.indexer),
        **(measure_mixture(block) if isinstance(block, Mixture) else {"sparse": (False,)}),
    )


def _affine(leaf: Affine | NormLeaf | Mixture) -> Affine:
    if not isinstance(leaf, Affine):
        raise UnresolvedError("projections", f"{type(leaf).__name__} stands where a projection is expected")
    return leaf


def _same(what: str, values: list[bool]) -> bool:
    if len(set(values)) > 1:
        raise UnresolvedError(what, f"it differs between projections: {values}")
    return values[0]


def _one_norm(structure: Structure, layer: LayerFindings) -> NormLeaf:
    """The norm that stands for all: every one is of the same kind."""
    norms = {name: leaf for name, leaf in layer.anatomy.leaves.items() if isinstance(leaf, NormLeaf)}
    if isinstance(layer.block, Mixture) and layer.block.bank.norm is not None:
        norms[layer.block.bank.norm.name] = layer.block.bank.norm.leaf
    embeddings, head, transform = structure.embeddings, structure.head, structure.head.transform
    for name, outer in (
        (embeddings.norm, embeddings.norm_leaf),
        (head.norm, head.norm_leaf),
        (None, None) if transform is None else (transform.norm, transform.norm_leaf),
    ):
        if name is not None and outer is not None:
            norms[name] = outer
    if not norms:
        raise UnresolvedError("which norm", "there is none")
    check_parameter_names({**layer.anatomy.leaves, **norms})
    low = latent_norms(layer.roles)  # whose eps may be another
    bare = bare_norms(layer)  # which may have no parameters where others have some
    aside = {*low, *bare}
    name, first = next(((n, leaf) for n, leaf in norms.items() if n not in aside), next(iter(norms.items())))
    for other_name, other in norms.items():
        same = (other.kind, other.weight is None, bool(other.offset), other.bias is None)
        expected = (first.kind, first.weight is None, bool(first.offset), first.bias is None)
        if other_name in bare:
            expected = (first.kind, True, False, True)
        if same != expected or not (other_name in low or alike(other.eps, first.eps, 1e-3)):
            raise UnresolvedError(
                "one norm throughout",
                "; ".join(
                    f"{path}: {norm.kind}, gain {norm.weight}, offset {norm.offset}, bias {norm.bias}, eps {norm.eps}"
                    for path, norm in ((name, first), (other_name, other))
                ),
            )
    return first


def bare_norms(layer: LayerFindings) -> set[str]:
    """The norms of queries and keys that have neither gain nor bias."""
    sources = [leaf for leaf in layer.roles.core.sources if source_of_norm(layer.anatomy, leaf) is not None]
    norms = {leaf: layer.anatomy.leaves[leaf] for leaf in sources}
    return {n for n, norm in norms.items() if isinstance(norm, NormLeaf) and norm.weight is None and norm.bias is None}


def _gate_per(layer: LayerFindings, gate: OutputGate) -> str:
    """channel or head: what one of a gate's outputs multiplies."""
    if gate.per not in (1, layer.roles.value_dim):
        observed = (
            f"an output of {gate.leaf} multiplies {gate.per} channels, and heads are {layer.roles.value_dim} wide"
        )
        raise UnresolvedError("gate on what attention puts out", observed)
    return "channel" if gate.per == 1 else "head"


def _gate_bias(layer: LayerFindings, gate: OutputGate) -> bool:
    """Whether a gate has a bias, which must be a number for each head."""
    if gate.bias is None:
        return False
    count = layer.anatomy.loose[gate.bias].numel()
    if count != layer.roles.heads:
        observed = f"{gate.bias} has {count} numbers, and there are {layer.roles.heads} heads"
        raise UnresolvedError("gate on what attention puts out", observed)
    return True


def _qk_norm(layer: LayerFindings) -> str:
    """none, head or full: what the norms of queries and keys are over."""
    anatomy, roles = layer.anatomy, layer.roles
    normed = [leaf for leaf in roles.core.sources if source_of_norm(anatomy, leaf) is not None]
    if not normed:
        return "none"
    held = [{place[0] for place in roles.places[leaf]} for leaf in normed]
    if sorted("".join(sorted(h)) for h in held) != ["k", "q"]:
        raise UnresolvedError("norm of queries and keys", f"norms of {held}")
    widths = []
    for leaf in normed:
        norm = anatomy.leaves[leaf]
        assert isinstance(norm, NormLeaf)
        widths.append((norm.width, anatomy.gave[leaf].shape[1]))
    if all(width == roles.head_dim for width, _ in widths):
        return "head"
    if all(width == whole for width, whole in widths):
        return "full"
    raise UnresolvedError("norm of queries and keys", f"over {widths[0][0]} of {widths[0][1]} channels")
