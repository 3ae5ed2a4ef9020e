"""The measures of one layer, and of what lies outside the layers."""

from levgen.survey.config.indexer_measures import measure_indexer
from levgen.survey.config.latent_measures import latent_norms, maps_up, measure_latent
from levgen.survey.config.measures import Measures, alike
from levgen.survey.config.norm_gate_measures import measure_norm_gates
from levgen.survey.evidence import UnresolvedError
from levgen.survey.mixture.measures import measure_mixture
from levgen.survey.mixture.whole import Mixture
from levgen.survey.names import check_parameter_names, module_roles
from levgen.survey.observe.leaves import Affine, NormLeaf
from levgen.survey.questions.activation import ChannelBlock
from levgen.survey.questions.dataflow import source_of_norm
from levgen.survey.questions.output_gate import OutputGate
from levgen.survey.structure import LayerFindings, Structure


def measure_layer(structure: Structure, layer: LayerFindings) -> Measures:
    """The measures of `layer`, as if all layers were like it.

    Raises UnresolvedError where its parts differ in what one answer says of all.
    """
    flow, roles, scores, block = layer.dataflow, layer.roles, layer.scores, layer.block
    embeddings, head = structure.embeddings, structure.head
    transform = head.transform
    leaves = layer.anatomy.leaves
    gate, up = layer.gate, maps_up(roles)
    own = [name for name in flow.attention_inputs if gate is None or name != gate.leaf]
    projections = {name: _affine(leaves[name]) for name in (*own, *up)}
    output = _affine(leaves[flow.attention_output])
    # Where a mixture of experts stands in the place of an MLP, one may be beside it.
    own_mlp, mlp_inputs, mlp_output, mlp_core = layer.dense, flow.mlp_inputs, flow.mlp_output, flow.mlp_core
    if flow.beside is not None:
        mlp_inputs, mlp_output, mlp_core = flow.beside.inputs, flow.beside.output, flow.beside.core
    mlp = [] if own_mlp is None else [_affine(leaves[name]) for name in (*mlp_inputs, mlp_output) if name]
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
        intermediate_dim=block.width if isinstance(block, ChannelBlock) else None,
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
        activation=_activations(layer),
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
        indexed=(True if layer.indexer is not None else None if layer.shares is None else False,),
        attention_gate="none" if gate is None else gate.function,
        gate_bias=gate is not None and _gate_bias(layer, gate),
        gate_per="channel" if gate is None else _gate_per(layer, gate),
        mlp_kind="gated" if own_mlp is None else own_mlp.kind,
        mlp_projections="separate" if own_mlp is None else own_mlp.projections,
        mlp_transposed=mlp_layout,
        mlp_inner_norm=mlp_core is not None and mlp_core.target != mlp_output,
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
        **measure_norm_gates(layer),
        **(measure_mixture(block, layer.beside) if isinstance(block, Mixture) else {"sparse": (False,)}),
    )


def _activations(layer: LayerFindings) -> tuple[str, ...]:
    """The names of the function in a layer's MLP, or in its experts. Raises UnresolvedError where one is beside these
    with another."""
    if layer.block is None:
        return ()
    own = layer.block.activations
    if layer.beside is None or set(own) == set(layer.beside.activations):
        return own
    if not own:
        return layer.beside.activations
    observed = f"{own[0]} in experts, {layer.beside.activations[0]} in the MLP beside them"
    raise UnresolvedError("activation", observed)


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
